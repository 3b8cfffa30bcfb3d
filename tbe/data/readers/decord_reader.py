"""Video files through decord."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.decoding_gpu import DecodesOnOwnGPU
from tbe.data.readers.stream_info import refuse_mirrored
from tbe.data.storage.stored_video import Video, opened
from tbe.data.video_writer import write_video
from tbe.errors import UserError, first_line

PROBE = (128, 128)  # height and width of a video that all hardware decodes


@dataclass(frozen=True)
class DecordReader(DecodesOnOwnGPU):
    """Opens video files with decord.

    device: 'cpu', 'cuda', or 'auto', the CPU: on the GPU decord is known to hang in loaders, so that is taken only
    where it is asked for. gpu: the number of the GPU, None for the process's own. One thread a reader measured best
    with several workers. A reader lives as long as it is used: decord goes on decoding the whole file behind an open
    one. Raises UserError for 'cuda' where decord, tried with a video written for that, cannot decode on the GPU.
    """

    device: str = "auto"
    num_threads: int = 1
    gpu: int | None = None

    def __post_init__(self):
        if self.device not in ("cpu", "cuda", "auto"):
            raise UserError(f"reader: expected device cpu, cuda or auto, got {self.device!r}")
        if self.device == "cuda":
            _check_cuda(self.number)

    def __call__(self, path: Video) -> VideoReader:
        return _DecordVideo(path, self.number if self.device == "cuda" else None, self.num_threads)


class _DecordVideo:
    def __init__(self, path: Video, gpu: int | None, num_threads: int):
        self.path = path
        refuse_mirrored(path, "decord")
        decord = _decord()
        context = decord.cpu(0) if gpu is None else decord.gpu(gpu)
        try:
            if isinstance(path, str) and _is_utf8(path):
                self.reader = decord.VideoReader(path, ctx=context, num_threads=num_threads)
            else:  # no file, or a name that decord can't be given: let it read the content
                with opened(path) as file:
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


@cache
def _check_cuda(gpu: int) -> None:
    """Raises UserError unless decord opens a small video on this GPU: only so it tells how it was built."""
    if not torch.cuda.is_available():
        raise UserError("reader.device=cuda: expected a CUDA device, got none here. Set reader.device=cpu.")
    decord = _decord()
    with TemporaryDirectory() as folder:
        file = Path(folder, "probe.mp4")
        write_video(file, np.zeros((8, *PROBE, 3), dtype=np.uint8), fps=25)
        try:
            decord.VideoReader(str(file), ctx=decord.gpu(gpu))
        except (RuntimeError, decord.DECORDError) as error:
            is_without = "CUDA not enabled" in str(error)
            got = "one without (as the registry's wheel is)" if is_without else first_line(error)
            raise UserError(
                f"reader.device=cuda: expected a decord built with CUDA that decodes on GPU {gpu}, got {got}. Build "
                "decord from source with -DUSE_CUDA=ON, or set reader.device=cpu"
            ) from error
