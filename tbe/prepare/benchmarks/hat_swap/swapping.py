"""Puts the people of one video in front of another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torchvision.transforms.v2.functional as pictures
from torch import Tensor

from tbe.data.readers import FrameFolderReader, VideoReader
from tbe.data.video_writer import video_file
from tbe.errors import UserError
from tbe.prepare.common.making import Made

FPS = 30
PERSON_ABOVE = 128  # of the levels of a mask, 0 to 255


@dataclass(frozen=True)
class Swapping:
    """Writes <out>/<action>.mp4 from HAT's folders below root; pairs: action -> background; name: that of the pairs."""

    root: Path
    out: Path
    name: str
    pairs: dict[str, str]
    crf: int

    @property
    def settings(self) -> str:
        return f"pairs={self.name} crf={self.crf}"

    def __call__(self, action: str) -> Made:
        frames, masks = self.opened("ori", action), self.opened("seg", action)
        scene, scene_masks = self.opened("inp", self.pairs[action]), self.opened("seg", self.pairs[action])
        if len(frames) != len(masks):
            raise UserError(f"{action}: expected a mask of each of its {len(frames)} frames, got {len(masks)}")
        first = masks.frames([0])[0, 0]
        short_side = min(first.shape)
        inpainted = resized(scene_masks.frames([0]), short_side)[0, 0]
        move = [int(target - start) for target, start in zip(center(inpainted), center(first), strict=True)]
        height, width = (side // 2 * 2 for side in inpainted.shape)  # yuv420p needs even sizes
        with video_file(self.out / f"{action}.mp4", (height, width), FPS, options={"crf": str(self.crf)}) as add:
            for number in range(len(frames)):
                scene_frame = min(round(number / len(frames) * len(scene)), len(scene) - 1)
                background = resized(scene.frames([scene_frame]), short_side)[0]
                person = masks.frames([number])[0, 0] > PERSON_ABOVE
                picture = in_front(frames.frames([number])[0], person, background, move)[:, :height, :width]
                pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
                add(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
        return Made(len(frames), height, width)

    def opened(self, part: str, video: str) -> VideoReader:
        suffix = "png" if part == "seg" else "jpg"
        return FrameFolderReader(f"%06d.{suffix}")(str(self.root / part / video))


def resized(frames: Tensor, short_side: int) -> Tensor:
    """Resizes pictures (n, C, H, W) to this short side."""
    return pictures.resize(frames, [short_side], antialias=True)


def center(mask: Tensor) -> tuple[float, float]:
    """Returns row and column of the center of mass of levels (H, W); the middle of the picture if all are 0."""
    levels = mask.double()
    if not levels.any():
        return mask.shape[0] / 2, mask.shape[1] / 2
    rows, columns = (torch.arange(side, dtype=torch.double) for side in mask.shape)
    total = levels.sum()
    return float((levels.sum(dim=1) * rows).sum() / total), float((levels.sum(dim=0) * columns).sum() / total)


def in_front(picture: Tensor, person: Tensor, background: Tensor, move: list[int]) -> Tensor:
    """Copies the person, bool (h, w), of a picture (C, h, w) into a background (C, H, W), moved by (rows, columns)."""
    rows, columns = person.nonzero(as_tuple=True)
    new_rows, new_columns = rows + move[0], columns + move[1]
    inside = (new_rows >= 0) & (new_rows < background.shape[1])
    inside &= (new_columns >= 0) & (new_columns < background.shape[2])
    composite = background.clone()
    composite[:, new_rows[inside], new_columns[inside]] = picture[:, rows[inside], columns[inside]]
    return composite
