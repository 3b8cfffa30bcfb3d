"""Resizes and crops frames to one size."""

from __future__ import annotations

import re
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tbe.data.readers.decode_resize import reduced_size
from tbe.errors import UserError


class Size(NamedTuple):
    """The size of the new videos in pixels: height and width, or a largest short side that keeps their aspect."""

    height: int = 0
    width: int = 0
    short_side: int = 0

    def of(self, height: int, width: int) -> tuple[int, int]:
        """Returns the even height and width of the output for frames of this size."""
        if self.short_side:
            return reduced_size(height, width, self.short_side, multiple=2)
        return self.height, self.width


def parsed_size(text: str) -> Size:
    """Parses '<width>x<height>', such as '96x72'; raises UserError unless both are even."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.lower(), re.ASCII)
    width, height = map(int, match.groups()) if match else (1, 1)
    if width % 2 or height % 2:
        raise UserError(f"--size: expected <width>x<height> in even numbers of pixels, such as 256x144, got {text!r}")
    return Size(height, width)


class Covering:
    """Scales frames, keeping their aspect, to cover a height and width, and center-crops them."""

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, form: str) -> np.ndarray:
        """form: rgb24 for (H, W, 3), gray for (H, W), uint8."""
        height, width = self.size
        scale = max(height / frame.height, width / frame.width)
        rows, columns = max(height, round(scale * frame.height)), max(width, round(scale * frame.width))
        scaled = self.reformatter.reformat(frame, columns, rows, form, interpolation="AREA").to_ndarray()
        top, left = (rows - height) // 2, (columns - width) // 2
        return scaled[top : top + height, left : left + width]
