"""Pieces of files: where each video lies, and whether what was read there is still it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np


class Piece(NamedTuple):
    """A range of bytes of a file of a store; of a whole file `size` is None. crc32: of the bytes, None if unknown."""

    file: str
    offset: int = 0
    size: int | None = None
    crc32: int | None = None


class LostPiece(OSError):
    """A piece that is missing, or is not what it was: it, and it alone, can't be read."""


class Store(Protocol):
    """A folder of files, on disk or elsewhere."""

    def read(self, piece: Piece) -> bytes:
        """Returns the bytes of a piece; raises LostPiece if they are missing or changed."""

    def prefetch(self, pieces: list[Piece]) -> None:
        """Begins to read pieces that will be asked for in this order, in the background."""

    def wait(self, piece: Piece) -> None:
        """Waits until a piece is at hand, or it is known that it can't be."""


@dataclass(frozen=True)
class Places:
    """Where each of n videos lies in shards: the shards' names, and the columns of its pieces, (n,) each.

    shard: int32, a position in `shards`, -1 for a video that none has; offset and size: int64, bytes; crc32: uint32.
    """

    shards: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    crc32: np.ndarray

    def select(self, indices: np.ndarray) -> Places:
        """Returns the places at these positions, in this order."""
        columns = {name: getattr(self, name)[indices] for name in ("shard", "offset", "size", "crc32")}
        return replace(self, **columns)

    def has(self, index: int) -> bool:
        """Checks whether a video lies in any shard."""
        return bool(self.shard[index] >= 0)

    def piece(self, index: int) -> Piece:
        """Returns the piece of a video; raises LostPiece if no shard has it."""
        if not self.has(index):
            raise LostPiece("expected it in one of the shards, found it in none: their index does not name it")
        shard = self.shards[self.shard[index]]
        return Piece(shard, int(self.offset[index]), int(self.size[index]), int(self.crc32[index]))


def checked(piece: Piece, content: bytes) -> bytes:
    """Returns the bytes that were read of a piece; raises LostPiece unless they are as many and the same as then."""
    if piece.size is not None and len(content) != piece.size:
        raise LostPiece(f"expected {piece.size} bytes at {piece.offset} of {piece.file}, got {len(content)}")
    if piece.crc32 is not None and zlib.crc32(content) != piece.crc32:
        raise LostPiece(
            f"expected the content that the index names at {piece.offset} of {piece.file}, got other bytes: the shard "
            "has changed since"
        )
    return content


@dataclass(frozen=True)
class FolderStore:
    """The files of a folder on disk."""

    folder: str

    def read(self, piece: Piece) -> bytes:
        """Returns the bytes of a piece; raises LostPiece if they can't be read."""
        try:
            with open(Path(self.folder, piece.file), "rb", buffering=0) as file:
                if hasattr(os, "pread") and piece.size is not None:
                    content = _read_at(file.fileno(), piece.offset, piece.size)
                else:
                    file.seek(piece.offset)
                    content = file.read(-1 if piece.size is None else piece.size) or b""
        except OSError as error:
            raise LostPiece(str(error)) from error
        return checked(piece, content)

    def prefetch(self, pieces: list[Piece]) -> None:
        """Does nothing: the system reads ahead."""

    def wait(self, piece: Piece) -> None:
        """Does nothing."""


def _read_at(file: int, offset: int, size: int) -> bytes:
    """Reads so many bytes, in several goes where the system gives fewer at a time; fewer at the end of the file."""
    parts = [os.pread(file, size, offset)]
    while parts[-1] and (left := size - sum(map(len, parts))):
        parts.append(os.pread(file, left, offset + size - left))
    return parts[0] if len(parts) == 1 else b"".join(parts)
