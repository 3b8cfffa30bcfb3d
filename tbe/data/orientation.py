"""Display orientation: rotates and mirrors the frames of a video as its display matrix says."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import av
import numpy as np

from tbe.data.storage.stored_video import Video, opened, size_of


class Orientation(NamedTuple):
    """One of the eight orientations of a picture: rows and columns swapped first, then either reversed."""

    is_swapped: bool = False
    is_upside_down: bool = False
    is_mirrored: bool = False  # left and right

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """Reads a frame's display matrix, rounded to a quarter turn; `frame.rotation` does not tell mirroring.

        Pixel (x, y) is shown at (a x + c y, b x + d y), where a, b, c and d are the matrix's elements 0, 1, 3 and 4.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return UPRIGHT
        a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])  # type: ignore[call-overload]  # a buffer
        is_swapped = abs(b) > abs(a)
        across, down = (c, b) if is_swapped else (a, d)
        return cls(is_swapped, down < 0, across < 0)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Returns the picture (H, W, ...) as displayed; a view."""
        picture = picture.swapaxes(0, 1) if self.is_swapped else picture
        return picture[:: -1 if self.is_upside_down else 1, :: -1 if self.is_mirrored else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the displayed height and width of a picture of this height and width."""
        return (width, height) if self.is_swapped else (height, width)


UPRIGHT = Orientation()

HEADERS = {b"mvhd": 36, b"tkhd": 40}  # offsets of their matrices in version 0; later versions have 12 bytes more
CONTAINERS = (b"moov", b"trak")


def is_mirrored(path: Video | os.PathLike) -> bool:
    """Checks whether the header of an mp4 says that its frames are shown mirrored; False for other kinds of files.

    PyAV reports it for decoded frames only, and other readers rotate frames without mirroring them.
    """
    with opened(path) as file:
        return any(a * d < b * c for a, b, c, d in _matrices(file, 0, size_of(path)))


def _matrices(file: BinaryIO, offset: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the linear part (a, b, c, d) of every display matrix in bytes offset to end of an mp4."""
    while offset + 8 <= end:
        file.seek(offset)
        size, kind = struct.unpack(">I4s", file.read(8))
        begin = offset + 8
        if size == 1:  # a 64-bit size follows
            size, begin = int.from_bytes(file.read(8), "big"), offset + 16
        stop = min(offset + size if size else end, end)
        if kind in CONTAINERS:
            yield from _matrices(file, begin, stop)
        elif kind in HEADERS and stop - begin >= HEADERS[kind] + 32:
            header = file.read(HEADERS[kind] + 32)
            a, b, _, c, d = struct.unpack_from(">5i", header, HEADERS[kind] + (12 if header[0] else 0))
            yield a, b, c, d
        if stop <= offset:
            return
        offset = stop
