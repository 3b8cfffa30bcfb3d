"""Crops the frames of a video to the box of its actors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tbe.data.sources.actor_boxes import Boxes, interpolate_boxes, read_boxes
from tbe.errors import UserError
from tbe.prepare.common.making import Made, mp4_name
from tbe.prepare.datasets.actor_hmdb51.writing import Pictures, write_changed

CROPS = ("union", "follow")
MIN_SIDE = 32  # pixels of a crop, if the picture has as many


@dataclass(frozen=True)
class Cropping:
    """Writes a video below root as one below out that shows only the boxes of its actors.

    All frames are cropped to one size. crop: 'union' keeps the crop's position, so that the actor moves in it, 'follow'
    moves it with the boxes. margin is added on each side, as a share of the box's size.
    """

    root: Path
    out: Path
    boxes: Path
    crop: str
    margin: float
    smooth: int
    crf: int

    @property
    def settings(self) -> str:
        smooth = f" smooth={self.smooth}" if self.crop == "follow" else ""
        return f"crop={self.crop} margin={self.margin:g}{smooth} crf={self.crf}"

    def __call__(self, path: str) -> Made:
        boxes = read_boxes(self.boxes, PurePosixPath(path).with_suffix("").as_posix())

        def cropped(pictures: Pictures) -> Pictures:
            for number, picture in enumerate(pictures):
                top, left, height, width = self.window(boxes, number, *picture.shape[:2])
                yield picture[top : top + height, left : left + width]
            if max(boxes) > number:
                raise UserError(f"{path}: expected boxes of frames 0 to {number}, got one of frame {max(boxes)}")

        return write_changed(self.root / path, self.out / mp4_name(path), cropped, self.crf)

    def window(self, boxes: Boxes, number: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns top, left, height and width of a frame's crop in a picture of this size: inside it, of even size."""
        known = np.stack(list(boxes.values()))
        if self.crop == "union":
            around = np.concatenate([known[:, :2].min(axis=0), known[:, 2:].max(axis=0)])
            size, center = around[2:] - around[:2], (around[2:] + around[:2]) / 2
        else:
            size = (known[:, 2:] - known[:, :2]).max(axis=0)
            near = interpolate_boxes(boxes, number + np.arange(self.smooth) - (self.smooth - 1) / 2)
            center = ((near[:, 2:] + near[:, :2]) / 2).mean(axis=0)
        places = []
        for middle, length, extent in zip(center[::-1], size[::-1], (height, width), strict=True):
            wanted = max(length * (1 + 2 * self.margin), MIN_SIDE)
            length = max(2, 2 * min(math.ceil(wanted / 2), extent // 2))
            places.append((int(np.clip(round(middle - length / 2), 0, max(0, extent - length))), length))
        (top, cut_height), (left, cut_width) = places
        return top, left, cut_height, cut_width
