"""Folders of optical flow, two gray pictures a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.io import ImageReadMode

from tbe.data.readers.base import DecodeError, VideoReader
from tbe.data.readers.frame_folder import FrameNames, decoded_picture
from tbe.data.storage.stored_video import Video, path_of
from tbe.errors import UserError


@dataclass(frozen=True)
class FlowFolderReader:
    """Opens folders with two gray pictures a frame, how far pixels move right and how far down.

    Such as `flow_x_00001.jpg` and `flow_y_00001.jpg`, or `x/1.png` and `y/1.png`: a template names files as that of
    FrameFolderReader does, and may begin with a sub-folder. Frames are uint8 (n, 2, H, W), x and then y, as they are
    stored: no motion is halfway between 127 and 128, and 0 and 255 are the largest motions of opposite directions, of
    any scale. Flow that is shown smaller keeps its values.
    """

    x_template: str = "flow_x_%05d.jpg"
    y_template: str = "flow_y_%05d.jpg"

    def __post_init__(self):
        FrameNames(self.x_template), FrameNames(self.y_template)
        if self.x_template == self.y_template:
            raise UserError(f"reader: expected two templates, of x and of y, got {self.x_template!r} twice")

    def __call__(self, path: Video) -> VideoReader:
        folder = path_of(path, "flow")
        right, down = (FrameNames(template).files(folder) for template in (self.x_template, self.y_template))
        numbers = [number for number, _ in right]
        if numbers != [number for number, _ in down]:
            raise DecodeError(
                f"{path}: expected as many {self.x_template!r} as {self.y_template!r}, with the same numbers, got "
                f"{len(right)} and {len(down)}"
            )
        return _FlowFolder([(x, y) for (_, x), (_, y) in zip(right, down, strict=True)])

    def worker_context(self, path: str) -> None:
        return None


class _FlowFolder:
    def __init__(self, files: list[tuple[str, str]]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def frames(self, indices: Sequence[int]) -> Tensor:
        # A short video repeats frames: decode each once.
        flows = {index: self._flow(*self.files[index]) for index in set(indices)}
        return torch.stack([flows[index] for index in indices])

    @staticmethod
    def _flow(x: str, y: str) -> Tensor:
        right, down = (decoded_picture(file, ImageReadMode.GRAY) for file in (x, y))
        if right.shape != down.shape:
            raise DecodeError(f"{y}: expected a picture as large as {x}, got {tuple(down.shape[1:])}")
        return torch.cat([right, down])
