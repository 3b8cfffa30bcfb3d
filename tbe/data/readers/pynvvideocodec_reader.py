"""Video files through PyNvVideoCodec, NVIDIA's library, on the GPU (NVDEC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.decoding_gpu import DecodesOnOwnGPU
from tbe.data.readers.stream_info import refuse_mirrored
from tbe.data.storage.stored_video import Video, path_of
from tbe.errors import UserError


@dataclass(frozen=True)
class PyNvVideoCodecReader(DecodesOnOwnGPU):
    """Opens video files with PyNvVideoCodec (`pip install PyNvVideoCodec`).

    gpu: the number of the GPU, None for the process's own. Frames come back to the CPU, as a loader's worker hands
    them over. Written after the interface of version 2.2, and not yet run on a GPU: compare its frames with
    `reader=pyav`'s before trusting them.
    """

    device = "cuda"

    gpu: int | None = None

    def __post_init__(self):
        count = torch.cuda.device_count()
        if not 0 <= self.number < count:
            raise UserError(f"reader.gpu: expected one of {count} GPUs, from 0 on, got {self.number}, or reader=auto")
        _library()

    def __call__(self, path: Video) -> VideoReader:
        return _PyNvVideo(path_of(path, "pynvvideocodec"), self.number)


class _PyNvVideo:
    def __init__(self, path: str, gpu: int):
        self.path = path
        refuse_mirrored(path, "PyNvVideoCodec")
        library = _library()
        rgb = library.OutputColorType.RGB  # 8 bits, (H, W, 3)
        try:
            self.decoder = library.SimpleDecoder(path, gpu_id=gpu, use_device_memory=True, output_color_type=rgb)
            self.length = len(self.decoder)
        except Exception as error:  # plain ones, and its own that derive from no other
            raise DecodeError(explained(path, "open", error)) from error

    def __len__(self) -> int:
        return self.length

    def frames(self, indices: Sequence[int]) -> Tensor:
        wanted = sorted(set(indices))  # it gives each frame once, and leaves out numbers that there are none of
        action = f"decode frames {list(indices)} of"
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.length:
            raise DecodeError(f"could not {action} {self.path}: expected numbers from 0 to {self.length - 1}")
        try:
            found = list(self.decoder.get_batch_frames_by_index(wanted))
        except Exception as error:
            raise DecodeError(explained(self.path, action, error)) from error
        if len(found) < len(wanted):
            raise DecodeError(f"could not {action} {self.path}: got {len(found)} of {len(wanted)} frames")
        pictures = torch.stack([torch.from_dlpack(frame) for frame in found])  # a copy: the decoder keeps its own
        places = torch.tensor([wanted.index(index) for index in indices])
        return pictures.cpu()[places].movedim(-1, 1)


def _library() -> ModuleType:
    try:
        import PyNvVideoCodec
    except (ImportError, RuntimeError, OSError) as error:  # not installed, or without a driver that it can load
        raise UserError(
            "reader=pynvvideocodec: expected PyNvVideoCodec and NVIDIA's driver, got "
            f"{type(error).__name__}. Install both (pip install PyNvVideoCodec; a container has the driver with "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video), or set reader=auto"
        ) from error
    return PyNvVideoCodec
