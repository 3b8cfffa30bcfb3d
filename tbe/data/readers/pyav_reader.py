"""Video files through PyAV, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained
from tbe.data.readers.pyav_frames import Pictures
from tbe.data.readers.selective_decoding import WHOLE, NeededPackets, PacketFacts
from tbe.data.readers.shown_packets import shown_by
from tbe.data.readers.stream_info import ERRORS, opened, shown_stream
from tbe.data.shown_frames import num_listed, shown_frames
from tbe.data.shown_frames import torn_at as torn_at_of
from tbe.data.storage.stored_video import Video
from tbe.errors import UserError

Decode = Callable[[InputContainer, list[int]], Iterator[VideoFrame]]


@dataclass(frozen=True)
class PyAvReader:
    """Opens video files with PyAV, which brings its own FFmpeg: right on the files on which decord is not.

    The frames of a video are those that a player shows, as `shown_frames` gives them, and are numbered so. Where its
    packets tell of each what it shows, they are not decoded for that; else all of them are, once, when it is opened. A
    jump goes to the last key frame before it; a video whose packets have no times to be trusted is decoded from its
    beginning. Frames stand as the video is to be shown. Of a torn mp4, which lists more than it has, what is missing
    is an error.
    short_side: what pictures will be reduced to; large ones come as small already (`readers.reducing`).
    container: the file of the one video that is read, where it is open already and nothing but its head was read.
    """

    num_threads: int = 1
    short_side: int | None = None
    container: InputContainer | None = None

    def __post_init__(self):
        if self.num_threads < 1:
            raise UserError(f"reader.num_threads: expected at least 1, got {self.num_threads}")

    def __call__(self, path: Video) -> VideoReader:
        return _PyAvVideo(path, self.num_threads, self.short_side, self.container)

    def reducing(self, short_side: int) -> PyAvReader:
        return replace(self, short_side=short_side)

    def worker_context(self, path: str) -> str | None:
        return None


class _PyAvVideo:
    def __init__(self, path: Video, num_threads: int, short_side: int | None, container: InputContainer | None):
        self.path = path
        self.num_threads = num_threads
        self.short_side = short_side
        try:
            container = container or opened(path)
            stream = shown_stream(container)
            shown, torn_at = shown_by(stream), torn_at_of(path, container, stream)
            read = [(PacketFacts.of(packet), shown(packet)) for packet in container.demux(stream) if packet.size]
            if torn_at is not None:
                read = [pair for pair in read if pair[0].dts is not None and pair[0].dts < torn_at]
            self.packets = NeededPackets([packet for packet, _ in read])
            promised = _promised(read) if container.format.name in WHOLE else None
            self.is_promised = promised is not None
            times = self._decoded_times() if promised is None else promised
        except ERRORS as error:
            raise DecodeError(explained(path, "open", error)) from error
        # AVI stores no times, and those that are guessed are wrong where pictures are reordered.
        is_guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        self.times = _rising(times) if self.packets.is_known and not is_guessed else []
        self.length = self.num_there = len(times)
        if torn_at is not None:  # of the last frames that are there others may be missing before
            self.times = [time for time in self.times if time < torn_at]
            self.length, self.num_there = num_listed(stream), len(self.times)
        if not self.num_there:
            found = "none" if torn_at is None else f"none whole of {self.length}: it is torn"
            raise DecodeError(f"could not open {path}: expected frames in its first video stream, found {found}")
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
        if wanted[-1] >= self.num_there:
            raise DecodeError(
                f"could not decode frames {list(indices)} of {self.path}: it is torn, and has {self.num_there} of the "
                f"{self.length} frames that it lists"
            )
        found: dict[int, np.ndarray] = {}
        if self.times:
            with suppress(*ERRORS):  # decoded from the beginning it may be right
                found = self._pictures(self._by_time, wanted)
        try:
            if len(found) < len(wanted):  # nothing to jump by, or what stands at these times is another picture
                if self.times:
                    self._check_promise()
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

    def _decoded_times(self) -> list[int | None]:
        """When the frames are shown, of decoding them all."""
        with opened(self.path) as container:
            stream = shown_stream(container)
            stream.codec_context.thread_count = self.num_threads
            return [frame.pts for frame in shown_frames(container, stream)]

    def _check_promise(self) -> None:
        """ValueError where other frames are decoded than the packets promised, by which they were numbered."""
        if self.is_promised and (num_frames := len(self._decoded_times())) != self.length:
            raise ValueError(f"its packets promise {self.length} frames, {num_frames} can be decoded")

    def _by_time(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """The frames that are shown at the times of these, in rising order; ends where one does not come."""
        return self.packets.frames(container, [self.times[index] for index in wanted])

    def _counted(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """These frames, counted from the first."""
        left = iter(wanted)
        index: int | None = next(left)
        for number, frame in enumerate(shown_frames(container, shown_stream(container))):
            if number == index:
                yield frame
                index = next(left, None)
                if index is None:
                    return


def _promised(read: list[tuple[PacketFacts, int | None]]) -> list[int | None] | None:
    """When the frames are shown that these packets show; None where only decoding tells which are.

    Decoders leave out what comes before the first key frame, and mostly what is shown before it.
    """
    first = read[0][0] if read else None
    if first is None or not first.is_keyframe:
        return None
    times: list[int | None] = []
    for packet, number in read:
        if number is None or (packet.pts is not None and first.pts is not None and packet.pts < first.pts):
            return None
        if number and not packet.is_discard:
            times.append(packet.pts)
    return times if None in times else sorted(times)  # type: ignore[type-var]  # there is no None


def _rising(times: list[int | None]) -> list[int]:
    """The times, if there are any and each is later than the one before; none otherwise."""
    known = [time for time in times if time is not None]
    is_rising = len(known) == len(times) and all(one < other for one, other in pairwise(known))
    return known if is_rising else []
