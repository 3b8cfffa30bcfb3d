"""Video files through torchcodec, on the CPU or the GPU (NVDEC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.decoding_gpu import DecodesOnOwnGPU
from tbe.data.readers.stream_info import refuse_mirrored
from tbe.data.storage.stored_video import Video, to_open
from tbe.errors import UserError


@dataclass(frozen=True)
class TorchCodecReader(DecodesOnOwnGPU):
    """Opens video files with torchcodec, the `gpu-decode` extra; it needs the system's FFmpeg.

    device: 'cpu' or 'cuda', gpu: the number of the GPU, None for the process's own. Frames decoded on the GPU come
    back to the CPU, as a loader's worker hands them over.
    """

    device: str = "cpu"
    num_threads: int = 1
    gpu: int | None = None

    def __post_init__(self):
        if self.device not in ("cpu", "cuda"):
            raise UserError(f"reader: expected device cpu or cuda, got {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("reader.device=cuda: expected a CUDA device, got none here. Set reader.device=cpu.")
        _decoder()

    def __call__(self, path: Video) -> VideoReader:
        device = f"cuda:{self.number}" if self.device == "cuda" else "cpu"
        return _TorchCodecVideo(path, device, self.num_threads)


class _TorchCodecVideo:
    def __init__(self, path: Video, device: str, num_threads: int):
        self.path = path
        refuse_mirrored(path, "torchcodec")
        try:
            self.decoder = _decoder()(to_open(path), device=device, num_ffmpeg_threads=num_threads)
        except (RuntimeError, ValueError) as error:
            raise DecodeError(explained(path, "open", error)) from error
        if not len(self.decoder):  # a head that promises none, as spoiled ones do
            raise DecodeError(f"could not open {path}: expected frames in its first video stream, found none")

    def __len__(self) -> int:
        return len(self.decoder)

    def frames(self, indices: Sequence[int]) -> Tensor:
        try:
            return self.decoder.get_frames_at(list(indices)).data.cpu()
        except (RuntimeError, IndexError) as error:
            raise DecodeError(explained(self.path, f"decode frames {list(indices)} of", error)) from error


def _decoder():
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError) as error:  # not installed, or no FFmpeg that it can load
        raise UserError(
            "reader=torchcodec: expected torchcodec and the system's FFmpeg, got "
            f"{type(error).__name__}. Install both (pip install -e '.[gpu-decode]'; Debian: apt install ffmpeg), "
            "or set reader=auto."
        ) from error
    return VideoDecoder
