"""Video files through PyAV, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.pyav_frames import Pictures
from tbe.data.readers.selective_decoding import WHOLE, NeededPackets, PacketFacts
from tbe.data.readers.stream_info import ERRORS, opened, shown_stream
from tbe.errors import UserError

Decode = Callable[[InputContainer, list[int]], Iterator[VideoFrame]]


@dataclass(frozen=True)
class PyAvReader:
    """Opens video files with PyAV, which brings its own FFmpeg: right on the files on which decord is not.

    The frames of a video are those that its packets promise to show, in the order of their times, from the first key
    frame on and without those before the start of an edit list. A jump goes to the last key frame before it; a video
    whose packets have no times to be trusted is decoded from its beginning. Frames stand as the video is to be shown.
    short_side: what pictures will be reduced to; large ones come as small already (`readers.reducing`).
    container: the file of the one video that is read, where it is open already and nothing but its head was read.
    """

    num_threads: int = 1
    short_side: int | None = None
    container: InputContainer | None = None

    def __post_init__(self):
        if self.num_threads < 1:
            raise UserError(f"reader.num_threads: expected at least 1, got {self.num_threads}")

    def __call__(self, path: str) -> VideoReader:
        return _PyAvVideo(path, self.num_threads, self.short_side, self.container)

    def reducing(self, short_side: int) -> PyAvReader:
        return replace(self, short_side=short_side)

    def worker_context(self, path: str) -> str | None:
        return None


class _PyAvVideo:
    def __init__(self, path: str, num_threads: int, short_side: int | None, container: InputContainer | None):
        self.path = path
        self.num_threads = num_threads
        self.short_side = short_side
        try:
            container = container or opened(path)
            stream = shown_stream(container)
            packets = [PacketFacts.of(packet) for packet in container.demux(stream) if packet.size]
        except ERRORS as error:
            raise DecodeError(explained(path, "open", error)) from error
        # What comes before the first key frame can't be decoded; an AVI says with a packet of a byte that none came.
        first = next((number for number, packet in enumerate(packets) if packet.is_keyframe), len(packets))
        shown = [packet for packet in packets[first:] if not packet.is_discard and packet.size > 1]
        if not shown:
            raise DecodeError(f"could not open {path}: expected frames in its first video stream, found none")
        self.packets = NeededPackets(packets)
        self.length = len(shown)
        # AVI stores no times, and those that are guessed are wrong where pictures are reordered.
        is_guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        is_timed = self.packets.is_known and not is_guessed
        self.times = sorted(packet.pts for packet in shown if packet.pts is not None) if is_timed else []
        # At its end, for the first frames: opening it again would take as long as decoding several of them.
        self.container = container if self.times and container.format.name in WHOLE else None

    def __len__(self) -> int:
        return self.length

    def frames(self, indices: Sequence[int]) -> Tensor:
        wanted = sorted(set(indices))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.length:
            raise DecodeError(
                f"could not decode frames {list(indices)} of {self.path}: expected numbers from 0 to {self.length - 1}"
            )
        found: dict[int, np.ndarray] = {}
        if self.times:
            with suppress(*ERRORS):  # decoded from the beginning it may be right
                found = self._pictures(self._by_time, wanted)
        try:
            if len(found) < len(wanted):  # nothing to jump by, or what stands at these times is another picture
                found = self._pictures(self._counted, wanted)
        except ERRORS as error:
            raise DecodeError(explained(self.path, f"decode frames {list(indices)} of", error)) from error
        missing = [index for index in wanted if index not in found]
        if missing:
            raise DecodeError(f"could not decode frames {missing} of {self.path}: it ends before them")
        sizes = {found[index].shape[:2] for index in wanted}
        if len(sizes) > 1:
            raise DecodeError(
                f"could not decode frames {list(indices)} of {self.path}: expected pictures of one size, got "
                f"{' and '.join(f'{width}x{height}' for height, width in sorted(sizes))}"
            )
        return torch.from_numpy(np.stack([found[index] for index in indices])).permute(0, 3, 1, 2)

    def _pictures(self, decode: Decode, wanted: list[int]) -> dict[int, np.ndarray]:
        """These frames, as many as come, each (H, W, 3) and upright."""
        picture = Pictures(self.short_side)
        container, self.container = self.container or opened(self.path), None
        with container:
            shown_stream(container).codec_context.thread_count = self.num_threads
            return {index: picture(frame) for index, frame in zip(wanted, decode(container, wanted), strict=False)}

    def _by_time(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """The frames that are shown at the times of these, in rising order; ends where one does not come."""
        return self.packets.frames(container, [self.times[index] for index in wanted])

    def _counted(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """These frames, counted from the first."""
        left = iter(wanted)
        index: int | None = next(left)
        for number, frame in enumerate(container.decode(shown_stream(container))):
            if number == index:
                yield frame
                index = next(left, None)
                if index is None:
                    return
