"""Folders of pictures, one a frame."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.storage.stored_video import Video, path_of
from tbe.errors import UserError


@dataclass(frozen=True)
class FrameNames:
    """The names of the pictures of a video, with one number in the place of %d (or %05d); may lie in sub-folders."""

    template: str
    _pattern: re.Pattern = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        parts = re.split(r"%0?\d*d", os.path.basename(self.template))
        if len(parts) != 2 or "%" in os.path.dirname(self.template):
            raise UserError(f"reader: expected a template with one %d in it, got {self.template!r}")
        pattern = re.compile(r"(\d+)".join(re.escape(part) for part in parts) + r"\Z")
        object.__setattr__(self, "_pattern", pattern)

    def files(self, path: str) -> list[tuple[int, str]]:
        """The number and the file of each picture of a video, by their numbers; a DecodeError when there is none."""
        folder = os.path.join(path, os.path.dirname(self.template))
        if not os.path.isdir(folder):
            raise DecodeError(
                f"{folder}: expected a folder of frames, got {'a file' if os.path.exists(folder) else 'nothing'}"
            )
        found = [(int(match[1]), name) for name in os.listdir(folder) if (match := self._pattern.match(name))]
        if not found:
            raise DecodeError(f"{path}: expected frames named like {self.template!r}, found none")
        return [(number, os.path.join(folder, name)) for number, name in sorted(found)]


@dataclass(frozen=True)
class FrameFolderReader:
    """Opens folders of pictures, one a frame, such as `img_00001.jpg`, `img_00002.jpg`, ...

    Frames are the files whose names match `template` with one number in the place of its %d (or %05d),
    sorted by that number.
    """

    template: str = "img_%05d.jpg"

    def __post_init__(self):
        FrameNames(self.template)

    def __call__(self, path: Video) -> VideoReader:
        return _FrameFolder([file for _, file in FrameNames(self.template).files(path_of(path, "frames"))])

    def worker_context(self, path: str) -> None:
        return None


class _FrameFolder:
    def __init__(self, files: list[str]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def frames(self, indices: Sequence[int]) -> Tensor:
        # A short video repeats frames: decode each once.
        pictures = {index: decoded_picture(self.files[index], ImageReadMode.RGB) for index in set(indices)}
        # As they lie in memory, (H, W, C): stacking them in another order takes seven times as long.
        return torch.stack([pictures[index].movedim(0, -1) for index in indices]).movedim(-1, 1)


def decoded_picture(file: str, mode: ImageReadMode) -> Tensor:
    """A picture, uint8 (C, H, W); a DecodeError that names it when it can't be read."""
    try:
        # Not through torchvision's read_file, which takes no names that are no UTF-8.
        return decode_image(torch.from_numpy(np.fromfile(file, dtype=np.uint8)), mode)
    except (OSError, RuntimeError) as error:
        raise DecodeError(explained(file, "decode", error)) from error
