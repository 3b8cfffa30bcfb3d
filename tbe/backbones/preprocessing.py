"""The preprocessing of a backbone's clips."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """The sampling and normalization of the clips that a backbone was trained on.

    num_frames frames, `stride` frames apart; `short`: whether a shorter video starts again ('loop') or repeats its last
    frame ('pad'). Frames are downscaled to a short side of `short_side` pixels (None: not at all), the center square of
    `crop` times the short side is resized to size x size, and its values in [0, 1] become (value - mean) / std, per
    channel. squash: whether the center is `crop` times both sides instead of a square, so that proportions change; crop
    may then be one share of the height and one of the width.
    """

    num_frames: int
    stride: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    short_side: int | None = None
    short: str = "loop"
    crop: float | tuple[float, float] = 0.875
    squash: bool = False
