"""Each video file through the reader that gets it right, the fastest of them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from torch import Tensor

from tbe.data.readers.base import DecodeError, OpenVideo, VideoReader
from tbe.data.readers.decode_resize import pays
from tbe.data.readers.decord_reader import DecordReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.stream_info import FileFacts, opened_with_facts
from tbe.data.readers.torchcodec_reader import TorchCodecReader
from tbe.data.storage.stored_video import Video

log = logging.getLogger(__name__)

RIGHT_BY_DECORD = ("h264", "mpeg4", "mjpeg")


class AutoReader:
    """Looks at the head of a file and opens it with the first of torchcodec, PyAV and decord that gets it right.

    torchcodec takes part where it is installed. PyAV comes first for H.264, of which it leaves out what strided clips
    don't need, and where pictures are reduced while they are decoded; decord where it is asked to decode on the GPU.
    A file that fails in one reader is tried in the next; a DecodeError when all of them failed.
    device: of decord, as in its reader; num_threads: as in the readers.
    """

    def __init__(self, device: str = "auto", num_threads: int = 1):
        self.decord = DecordReader(device, num_threads)
        self.pyav = PyAvReader(num_threads)
        self.torchcodec = _torchcodec(num_threads)

    def reducing(self, short_side: int) -> AutoReader:
        other = copy.copy(self)
        other.pyav = self.pyav.reducing(short_side)
        return other

    def __call__(self, path: Video) -> VideoReader:
        container, facts = opened_with_facts(path)
        readers = self.suited(facts)
        if readers[0] is self.pyav:
            readers[0] = replace(self.pyav, container=container)  # to open it again takes long
        else:
            container.close()
        return _FirstRight(path, readers)

    def worker_context(self, path: str) -> str | None:
        return self.decord.worker_context(path)

    def suited(self, facts: FileFacts) -> list[OpenVideo]:
        """The readers that get such a file right, fastest first (as `benchmarks/speed/readers.py` has it).

        decord shows files that were cut, reordered pictures in AVI and HEVC shifted, jumbled or frozen; torchcodec
        shifts reordered pictures in AVI. Neither is safe where the file does not list its packets, or does not begin
        with a key frame; both count packets that show nothing, and neither mirrors pictures that are to be mirrored.
        """
        is_whole = facts.is_indexed and facts.starts_with_key
        is_safe = is_whole and not facts.has_guessed_times and not facts.may_hide and not facts.is_mirrored
        is_for_decord = is_safe and not facts.is_cut and facts.codec in RIGHT_BY_DECORD
        width, height = facts.pixels
        is_for_pyav = facts.codec == "h264" or pays(height, width, self.pyav.short_side)
        found: list[OpenVideo] = [self.pyav]
        if is_safe and self.torchcodec is not None:
            found.insert(1 if is_for_pyav else 0, self.torchcodec)
        if is_for_decord:
            found.insert(0 if self.decord.device == "cuda" else len(found), self.decord)
        return found


class _FirstRight:
    """A video in the first reader that opens it, and decodes what is asked for.

    The numbers of its frames are those of the reader that told its length. Where that one fails later, another takes
    over only if it counts as many frames: a DecodeError otherwise.
    """

    def __init__(self, path: Video, readers: list[OpenVideo]):
        self.path = path
        self.left = list(readers)
        self.tried: list[str] = []
        self.video = self._next()

    def __len__(self) -> int:
        return len(self.video)

    def frames(self, indices: Sequence[int]) -> Tensor:
        while True:
            try:
                return self.video.frames(indices)
            except DecodeError as error:
                self._check_left(error)
                length, self.video = len(self.video), self._next()
                self._check_length(length, error)

    def _next(self) -> VideoReader:
        while True:
            reader = self.left.pop(0)
            self.tried.append(type(reader).__name__)
            try:
                return reader(self.path)
            except DecodeError as error:
                self._check_left(error)

    def _check_length(self, length: int, error: DecodeError) -> None:
        """Raises the error of the last reader where the next one counts otherwise: other frames were asked for."""
        if len(self.video) != length:
            first, last = self.tried[0], self.tried[-1]
            error = DecodeError(f"{error}; {first} counts {length} frames of it, {last} {len(self.video)}")
            error.readers = " ".join(self.tried)
            raise error

    def _check_left(self, error: DecodeError) -> None:
        """Raises the error of the last reader, with the names of all that tried."""
        if not self.left:
            error.readers = " ".join(self.tried)
            raise error


@cache
def _torchcodec(num_threads: int) -> TorchCodecReader | None:
    try:
        return TorchCodecReader("cpu", num_threads)
    except ValueError:
        log.info("reader=auto: without torchcodec, faster than PyAV but for H.264 (pip install -e '.[gpu-decode]')")
        return None
