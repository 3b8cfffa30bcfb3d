"""How pictures of a video are to be turned and mirrored before they are shown: the display matrix."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import av
import numpy as np


class Orientation(NamedTuple):
    """One of the eight ways in which a picture may lie: rows and columns swapped first, then either reversed."""

    is_swapped: bool = False
    is_upside_down: bool = False
    is_mirrored: bool = False  # left and right

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """What a frame says of itself, to the nearest quarter of a turn; `frame.rotation` does not tell mirrored ones.

        A pixel at (x, y) belongs at (a x + c y, b x + d y), where a, b, c and d are the matrix's numbers 0, 1, 3 and 4.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return UPRIGHT
        a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])  # type: ignore[call-overload]  # a buffer
        is_swapped = abs(b) > abs(a)
        across, down = (c, b) if is_swapped else (a, d)
        return cls(is_swapped, down < 0, across < 0)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The picture (H, W, ...) as it is to be shown; a view."""
        picture = picture.swapaxes(0, 1) if self.is_swapped else picture
        return picture[:: -1 if self.is_upside_down else 1, :: -1 if self.is_mirrored else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the picture as it is to be shown."""
        return (width, height) if self.is_swapped else (height, width)


UPRIGHT = Orientation()

HEADERS = {b"mvhd": 36, b"tkhd": 40}  # where their matrices are, in version 0; later ones have 12 bytes more before
HOLDERS = (b"moov", b"trak")


def is_mirrored(path: str | os.PathLike) -> bool:
    """Whether the head of an mp4 says that its pictures are to be mirrored; False for other kinds of files.

    PyAV tells it of decoded frames alone, and other readers turn pictures without mirroring them.
    """
    with open(path, "rb") as file:
        return any(a * d < b * c for a, b, c, d in _matrices(file, 0, os.path.getsize(path)))


def _matrices(file: BinaryIO, place: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The turning parts (a, b, c, d) of all matrices in these bytes of an mp4."""
    while place + 8 <= end:
        file.seek(place)
        size, kind = struct.unpack(">I4s", file.read(8))
        begin = place + 8
        if size == 1:  # it has 64 bits, which follow
            size, begin = int.from_bytes(file.read(8), "big"), place + 16
        stop = min(place + size if size else end, end)
        if kind in HOLDERS:
            yield from _matrices(file, begin, stop)
        elif kind in HEADERS and stop - begin >= HEADERS[kind] + 32:
            header = file.read(HEADERS[kind] + 32)
            a, b, _, c, d = struct.unpack_from(">5i", header, HEADERS[kind] + (12 if header[0] else 0))
            yield a, b, c, d
        if stop <= place:
            return
        place = stop
