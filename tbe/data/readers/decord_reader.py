"""Video files through decord."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.stream_info import refuse_mirrored
from tbe.errors import UserError

log = logging.getLogger(__name__)

_BUILT_WITH: dict[str, bool] = {}  # what was found out about this build of decord


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
            raise UserError(f"reader: expected device cpu, cuda or auto, got {self.device!r}")

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
            raise UserError(
                "reader.device=cuda: expected a decord built with CUDA, got one without (as the registry's wheel is). "
                "Build decord from source with -DUSE_CUDA=ON, or set reader.device=cpu or auto."
            )
        return _said_once("cpu", "this build of decord has no CUDA")


class _DecordVideo:
    def __init__(self, path: str, device: str, num_threads: int):
        self.path = path
        refuse_mirrored(path, "decord")
        decord = _decord()
        context = decord.gpu(0) if device == "cuda" else decord.cpu(0)
        try:
            if _is_utf8(path):
                self.reader = decord.VideoReader(path, ctx=context, num_threads=num_threads)
            else:  # a name that decord can't be given: let it read the content
                with open(path, "rb") as file:
                    self.reader = decord.VideoReader(file, ctx=context, num_threads=num_threads)
        except (OSError, RuntimeError, AssertionError, decord.DECORDError) as error:  # it asserts that there are frames
            raise DecodeError(explained(path, "open", error)) from error

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: Sequence[int]) -> Tensor:
        decord = _decord()
        try:
            # decord's torch bridge is a setting of the thread that gets lost in workers: go through numpy.
            pictures = self.reader.get_batch(list(indices)).asnumpy()
        except (RuntimeError, IndexError, decord.DECORDError) as error:
            if "size must exactly match" not in str(error):
                raise DecodeError(explained(self.path, f"decode frames {list(indices)} of", error)) from error
            pictures = np.stack([_without_row_padding(self.reader[index].asnumpy()) for index in indices])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_row_padding(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) from one that decord 0.6 gives with padded rows, (H, W, 4), at widths like 24, 48 and 72."""
    height, width, _ = picture.shape
    return picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


def _decord():
    import decord

    return decord


def _decord_has_cuda(path: str) -> bool:
    """Whether this build decodes on the GPU: decord can only tell by opening a video, so the first one is tried."""
    if "cuda" not in _BUILT_WITH:
        decord = _decord()
        try:
            decord.VideoReader(path, ctx=decord.gpu(0))
            _BUILT_WITH["cuda"] = True
        except (RuntimeError, decord.DECORDError) as error:
            if "CUDA not enabled" not in str(error):  # the video's fault, which says nothing about the build
                raise DecodeError(explained(path, "open", error)) from error
            _BUILT_WITH["cuda"] = False
    return _BUILT_WITH["cuda"]


@cache
def _said_once(device: str, reason: str) -> str:
    log.info("decord decodes on %s (%s)", {"cpu": "the CPU", "cuda": "the GPU"}[device], reason)
    return device
