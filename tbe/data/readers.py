"""From a path to frames: video files through decord, folders of pictures through torchvision."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)


class VideoReader(Protocol):
    """An open video."""

    def __len__(self) -> int:
        """How many frames it has."""

    def frames(self, indices: Sequence[int]) -> Tensor:
        """These frames, in this order: uint8 (n, C, H, W)."""


class OpenVideo(Protocol):
    """Opens videos, in the workers of a loader."""

    def __call__(self, path: str) -> VideoReader:
        """Opens one video; a DecodeError that names it when it can't."""

    def worker_context(self, path: str) -> str | None:
        """How workers must be started to read videos like this one; None leaves it to the platform."""


class DecodeError(RuntimeError):
    """A video that can't be read. The message names the file."""


@dataclass(frozen=True)
class DecordReader:
    """Opens video files with decord.

    device: 'cpu', 'cuda', or 'auto', which takes the GPU only where the decord build has CUDA and says once
    which it took. One thread a reader measured best with several workers. A reader lives as long as it is
    used: decord goes on decoding the whole file behind an open one.
    """

    device: str = "auto"
    num_threads: int = 1

    def __post_init__(self):
        if self.device not in ("cpu", "cuda", "auto"):
            raise ValueError(f"reader: expected device cpu, cuda or auto, got {self.device!r}")

    def __call__(self, path: str) -> VideoReader:
        return _DecordVideo(path, self.resolved_device(path), self.num_threads)

    def worker_context(self, path: str) -> str | None:
        # A forked process can't use CUDA once its parent has.
        return "spawn" if self.resolved_device(path) == "cuda" else None

    def resolved_device(self, path: str) -> str:
        """'cpu' or 'cuda', tried on this video where the setting leaves it open."""
        if self.device == "cpu" or (self.device == "auto" and not torch.cuda.is_available()):
            return _said_once("cpu", "no CUDA device here" if self.device == "auto" else "reader.device=cpu")
        if _decord_has_cuda(path):
            return _said_once("cuda", f"reader.device={self.device}")
        if self.device == "cuda":
            raise ValueError(
                "reader.device=cuda: expected a decord built with CUDA, got one without (as the registry's wheel is). "
                "Build decord from source with -DUSE_CUDA=ON, or set reader.device=cpu or auto."
            )
        return _said_once("cpu", "this build of decord has no CUDA")


class _DecordVideo:
    def __init__(self, path: str, device: str, num_threads: int):
        self.path = path
        decord = _decord()
        context = decord.gpu(0) if device == "cuda" else decord.cpu(0)
        try:
            self.reader = decord.VideoReader(path, ctx=context, num_threads=num_threads)
        except (RuntimeError, decord.DECORDError) as error:
            raise DecodeError(_explain(path, "open", error)) from error

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: Sequence[int]) -> Tensor:
        decord = _decord()
        try:
            # decord's torch bridge is a setting of the thread that gets lost in workers: go through numpy.
            pictures = self.reader.get_batch(list(indices)).asnumpy()
        except (RuntimeError, IndexError, decord.DECORDError) as error:
            if "size must exactly match" not in str(error):
                raise DecodeError(_explain(self.path, f"decode frames {list(indices)} of", error)) from error
            pictures = np.stack([_without_row_padding(self.reader[index].asnumpy()) for index in indices])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def _without_row_padding(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) from one that decord 0.6 gives with padded rows, (H, W, 4), at widths like 24, 48 and 72."""
    height, width, _ = picture.shape
    return picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


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
        from torchvision.io import ImageReadMode, decode_image, read_file

        pictures = {}  # a short video repeats frames: decode each once
        for index in indices:
            file = str(Path(self.path, self.names[index]))
            try:
                pictures[index] = pictures.get(index)
                if pictures[index] is None:
                    pictures[index] = decode_image(read_file(file), ImageReadMode.RGB)
            except RuntimeError as error:
                raise DecodeError(_explain(file, "decode", error)) from error
        return torch.stack([pictures[index] for index in indices])


def _decord():
    import decord

    return decord


@lru_cache(maxsize=1)
def _decord_has_cuda(path: str) -> bool:
    """Whether this build decodes on the GPU: decord can only tell by opening a video."""
    decord = _decord()
    try:
        decord.VideoReader(path, ctx=decord.gpu(0))
    except (RuntimeError, decord.DECORDError) as error:
        return "CUDA not enabled" not in str(error)
    return True


@cache
def _said_once(device: str, reason: str) -> str:
    log.info("decord decodes on %s (%s)", {"cpu": "the CPU", "cuda": "the GPU"}[device], reason)
    return device


def _explain(path: str, action: str, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return f"could not {action} {path}: {reason}"
