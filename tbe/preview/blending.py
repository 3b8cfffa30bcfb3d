"""What was added to a clip, measured from the clip and the result: it holds for any distractor, whoever wrote it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-3  # of the motion's or a picture's root mean square
MIN_WEIGHT = 1e-3


class Blend(NamedTuple):
    """(1 - weight) * clip + weight * picture. weight: nan where it is no such thing; frame: of clip `source`.

    source and frame are -1 where the picture is no frame of the batch.
    """

    weight: float
    source: int
    frame: int


def still_weights(clips: Tensor, distracted: Tensor) -> Tensor:
    """The weight of a still picture that was added to clips (B, C, T, H, W): float32 (B,).

    A still picture changes motion by a factor, 1 - weight, found by least squares; nan where the motion was changed in
    another way, or there is none.
    """
    motion, left = (_motion(part).flatten(1) for part in (clips, distracted))
    energy = motion.square().sum(dim=1)
    kept = (motion * left).sum(dim=1) / energy
    error = (left - kept.unsqueeze(1) * motion).square().sum(dim=1)
    return (1 - kept).masked_fill(~(error <= TOLERANCE**2 * energy), torch.nan)


def find_blend(clips: Tensor, distracted: Tensor, number: int) -> Blend:
    """What was added to clip `number` of a batch (B, C, T, H, W)."""
    clip, result = clips[number : number + 1], distracted[number : number + 1]
    weight = still_weights(clip, result)
    if not weight > MIN_WEIGHT:
        # A clip that is left as it is has no motion to tell by where it stands still.
        return Blend(0.0 if torch.equal(clip, result) or not weight.isnan() else torch.nan, -1, -1)
    picture = ((result - (1 - weight) * clip).mean(dim=2) / weight).squeeze(0)
    found = [(frames.movedim(1, 0) - picture).square().mean(dim=(1, 2, 3)) for frames in clips]
    errors = torch.stack(found)  # (B, T)
    source, frame = divmod(int(errors.argmin()), errors.shape[1])
    # What was divided by a small weight is known less well.
    if errors[source, frame] > (TOLERANCE / weight.item()) ** 2 * picture.square().mean():
        return Blend(weight.item(), -1, -1)
    return Blend(weight.item(), source, frame)


def _motion(clips: Tensor) -> Tensor:
    return clips.float() - clips.float().mean(dim=2, keepdim=True)
