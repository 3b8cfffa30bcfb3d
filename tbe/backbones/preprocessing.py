"""How the clips of a backbone are made, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """The clips that a backbone was trained on: how they are taken from a video, and turned into numbers.

    num_frames frames, `stride` frames apart; of a video with fewer, `short` says whether it starts again ('loop') or
    its last frame is repeated ('pad'). Pictures are reduced to `short_side` pixels (None: left as they are), the square
    in their middle with `crop` times the short side is resized to size x size, and its values, from 0 to 1, become
    (value - mean) / std, one of each a channel.
    """

    num_frames: int
    stride: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    short_side: int | None = None
    short: str = "loop"
    crop: float = 0.875
