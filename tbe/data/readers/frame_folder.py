"""Folders of pictures, one a frame."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image, read_file

from tbe.data.readers.base import DecodeError, VideoReader, explained


@dataclass(frozen=True)
class FrameFolderReader:
    """Opens folders of pictures, one a frame, such as `img_00001.jpg`, `img_00002.jpg`, ...

    Frames are the files whose names match `template` with one number in the place of its %d (or %05d),
    sorted by that number.
    """

    template: str = "img_%05d.jpg"
    _pattern: re.Pattern = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        parts = re.split(r"%0?\d*d", self.template)
        if len(parts) != 2:
            raise ValueError(f"reader: expected a template with one %d in it, got {self.template!r}")
        pattern = re.compile(r"(\d+)".join(re.escape(part) for part in parts) + r"\Z")
        object.__setattr__(self, "_pattern", pattern)

    def __call__(self, path: str) -> VideoReader:
        if not os.path.isdir(path):
            raise DecodeError(
                f"{path}: expected a folder of frames, got {'a file' if os.path.exists(path) else 'nothing'}"
            )
        found = [(int(match[1]), name) for name in os.listdir(path) if (match := self._pattern.match(name))]
        if not found:
            raise DecodeError(f"{path}: expected frames named like {self.template!r}, found none")
        return _FrameFolder(path, [name for _, name in sorted(found)])

    def worker_context(self, path: str) -> None:
        return None


class _FrameFolder:
    def __init__(self, path: str, names: list[str]):
        self.path = path
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def frames(self, indices: Sequence[int]) -> Tensor:
        pictures = {}  # a short video repeats frames: decode each once
        for index in indices:
            file = str(Path(self.path, self.names[index]))
            try:
                pictures[index] = pictures.get(index)
                if pictures[index] is None:
                    pictures[index] = decode_image(read_file(file), ImageReadMode.RGB)
            except RuntimeError as error:
                raise DecodeError(explained(file, "decode", error)) from error
        return torch.stack([pictures[index] for index in indices])
