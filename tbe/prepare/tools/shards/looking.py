"""Looks at a video before it goes into a shard: whether it opens, how long it is, and what its bytes are."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tbe.data.sources.unicode_forms import path_on_disk

BYTES_AT_ONCE = 2**22


class Look(NamedTuple):
    """The number of frames of a video, its size in bytes and its checksum."""

    num_frames: int
    size: int
    crc32: int


class LookRow(NamedTuple):
    """A row of the report; zeros unless the status is ok."""

    path: str
    status: str
    frames: int = 0
    size: int = 0
    crc32: int = 0
    settings: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Looking:
    """Opens a video below root, as `reader=pyav` does; raises DecodeError if it can't."""

    root: Path

    def __call__(self, path: str) -> Look:
        from tbe.data.readers.pyav_reader import PyAvReader  # slow to import

        file = path_on_disk(os.path.join(self.root, path))
        num_frames = len(PyAvReader()(file))
        size = crc32 = 0
        with open(file, "rb") as content:
            while part := content.read(BYTES_AT_ONCE):
                size, crc32 = size + len(part), zlib.crc32(part, crc32)
        return Look(num_frames, size, crc32)
