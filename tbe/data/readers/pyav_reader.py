"""Video files through PyAV, on the CPU."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from tbe.data.readers.base import DecodeError, VideoReader, explained

# What PyAV raises for files that are none, broken ones, and names that FFmpeg can't be given.
ERRORS = (av.error.FFmpegError, OSError, ValueError, EOFError)


@dataclass(frozen=True)
class PyAvReader:
    """Opens video files with PyAV, which brings its own FFmpeg: right on the files on which decord is not.

    The frames of a video are those that its packets promise to show, in the order of their times; those before the
    start of an edit list are none. A jump goes to the last key frame before it, where the packets have times; a video
    whose packets have none is decoded from its beginning.
    """

    num_threads: int = 1

    def __post_init__(self):
        if self.num_threads < 1:
            raise ValueError(f"reader.num_threads: expected at least 1, got {self.num_threads}")

    def __call__(self, path: str) -> VideoReader:
        return _PyAvVideo(path, self.num_threads)

    def worker_context(self, path: str) -> str | None:
        return None


class _PyAvVideo:
    def __init__(self, path: str, num_threads: int):
        self.path = path
        self.num_threads = num_threads
        try:
            with self._opened() as container:
                stream = _stream(container)
                packets = [packet for packet in container.demux(stream) if packet.size]
                # AVI stores no times, and those that are guessed are wrong where pictures are reordered.
                is_guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        except ERRORS as error:
            raise DecodeError(explained(path, "open", error)) from error
        shown = [packet for packet in packets if not packet.is_discard]
        if not shown:
            raise DecodeError(f"could not open {path}: expected frames in its first video stream, found none")
        times = [packet.pts for packet in shown]
        self.length = len(shown)
        is_timed = not is_guessed and None not in times and len(set(times)) == len(times)
        self.times = sorted(times) if is_timed else None
        self.keys = sorted(packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None)

    def __len__(self) -> int:
        return self.length

    def frames(self, indices: Sequence[int]) -> Tensor:
        wanted = sorted(set(indices))
        if not wanted or wanted[0] < 0 or wanted[-1] >= self.length:
            raise DecodeError(
                f"could not decode frames {list(indices)} of {self.path}: expected numbers from 0 to {self.length - 1}"
            )
        reformatter = VideoReformatter()
        try:
            with self._opened() as container:
                decoded = self._by_time(container, wanted) if self.times else self._counted(container, wanted)
                found = {
                    index: reformatter.reformat(frame, format="rgb24").to_ndarray()
                    for index, frame in zip(wanted, decoded, strict=False)
                }
        except ERRORS as error:
            raise DecodeError(explained(self.path, f"decode frames {list(indices)} of", error)) from error
        missing = [index for index in wanted if index not in found]
        if missing:
            raise DecodeError(f"could not decode frames {missing} of {self.path}: the video ends before them")
        return torch.from_numpy(np.stack([found[index] for index in indices])).permute(0, 3, 1, 2)

    def _opened(self) -> InputContainer:
        container = av.open(self.path, metadata_errors="ignore")
        if not container.streams.video:
            container.close()
            raise ValueError("expected a video stream, found none")
        _stream(container).codec_context.thread_count = self.num_threads
        return container

    def _by_time(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """The frames that are shown at the times of these, in rising order; ends where one does not come."""
        stream = _stream(container)
        frames, reached = container.decode(stream), self.times[0] - 1
        for time in (self.times[index] for index in wanted):
            place = bisect_right(self.keys, time)
            if place and self.keys[place - 1] > reached:  # a key frame between here and there: jump to it
                container.seek(self.keys[place - 1], stream=stream)
                frames = container.decode(stream)
            frame = next((frame for frame in frames if frame.pts is not None and frame.pts >= time), None)
            if frame is None or frame.pts != time:
                return
            reached = time
            yield frame

    def _counted(self, container: InputContainer, wanted: list[int]) -> Iterator[VideoFrame]:
        """These frames, counted from the first."""
        left = iter(wanted)
        index = next(left)
        for number, frame in enumerate(container.decode(_stream(container))):
            if number == index:
                yield frame
                index = next(left, None)
                if index is None:
                    return


def _stream(container: InputContainer) -> VideoStream:
    """Of several video streams that which FFmpeg prefers, as the other readers do: mostly the largest."""
    return container.streams.best("video")
