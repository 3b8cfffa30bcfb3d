"""Medians of a few frames, each pixel by itself."""

from __future__ import annotations

from torch import Tensor

FEW = 16  # frames, of which a CPU finds the median faster by exchanging neighbors


def median_of_frames(frames: Tensor) -> Tensor:
    """Returns the median of each pixel of frames (n, ...), the lower one of two: (1, ...)."""
    if frames.device.type == "cpu" and len(frames) <= FEW:
        middle = (len(frames) - 1) // 2
        return in_order(frames)[middle : middle + 1]
    # Contiguous, because torch (2.15 and before) mixes pixels of a picture that is expanded to frames (stride 0).
    return frames.contiguous().median(dim=0, keepdim=True).values


def temporal_median(clips: Tensor) -> Tensor:
    """Returns the median of each pixel of clips (B, C, T, H, W) over time, the lower one of two: (B, C, 1, H, W)."""
    return median_of_frames(clips.movedim(2, 0)).movedim(0, 2)


def in_order(frames: Tensor) -> Tensor:
    """Returns frames (n, ...) with the values of each pixel in ascending order: neighbors are exchanged in n turns.

    For few frames this is many times faster than sorting each pixel, or finding its median.
    """
    ordered = frames.clone()
    for turn in range(len(ordered)):
        first = turn % 2
        lower, upper = ordered[first : len(ordered) - 1 : 2], ordered[first + 1 :: 2]
        least, most = lower.minimum(upper), lower.maximum(upper)
        lower.copy_(least)
        upper.copy_(most)
    return ordered
