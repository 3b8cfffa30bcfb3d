"""What the ways to find people in a video have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

NUM_SAMPLED = 50  # frames, evenly spread over a video, from which what stays is estimated


class Video(NamedTuple):
    """A video that is read as often as it takes: pictures uint8 (H, W, 3), all of them or an even sample."""

    frames: Callable[[], Iterator[np.ndarray]]
    sample: Callable[[int], list[np.ndarray]]  # at most so many


class Found(NamedTuple):
    """The matte of each frame, float32 (H, W) in [0, 1], and what looks wrong with the video, '' for nothing."""

    mattes: Iterator[np.ndarray]
    doubt: str = ""


Finder = Callable[[Video], Found]
