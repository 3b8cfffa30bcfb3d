"""Grays out everything but the actor in the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tbe.data.sources.actor_masks import mask_files, read_mask
from tbe.errors import UserError
from tbe.prepare.common.making import Made, mp4_name
from tbe.prepare.datasets.actor_hmdb51.writing import Pictures, write_changed


@dataclass(frozen=True)
class Masking:
    """Writes a video below root as one below out that is `gray` wherever the mask of a frame is 0."""

    root: Path
    out: Path
    masks: Path
    gray: int
    crf: int

    @property
    def settings(self) -> str:
        return f"masks gray={self.gray} crf={self.crf}"

    def __call__(self, path: str) -> Made:
        masks = mask_files(self.masks / PurePosixPath(path).with_suffix(""))

        def grayed(pictures: Pictures) -> Pictures:
            number = 0
            for number, picture in enumerate(pictures, start=1):
                if number <= len(masks):
                    actor = read_mask(masks[number - 1], picture.shape[:2])
                    height, width = (side // 2 * 2 for side in actor.shape)  # yuv420p needs even sizes
                    yield np.where(actor[..., None], picture, np.uint8(self.gray))[:height, :width]
            if number != len(masks):
                raise UserError(f"{path}: expected {number} masks, one per frame, got {len(masks)}")

        return write_changed(self.root / path, self.out / mp4_name(path), grayed, self.crf)
