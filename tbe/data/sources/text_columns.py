"""Many texts in one buffer, cheap for workers to share and copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any, NamedTuple, overload

import numpy as np

from tbe.data.sources.memory_files import Shared, is_shared, shared

CHUNK = 65_536  # texts that are Python objects at a time
WORD = 8  # bytes that are hashed at once
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: as multiplier it spreads what differs over all bits


@dataclass(frozen=True, eq=False)
class TextColumn(Sequence[bytes]):
    """Texts as slices of a buffer: memory grows with their total length, not with the longest one.

    buffer: contains them, and may contain more; starts: int64 (n,), lengths: int32 (n,), the slice of each text.
    A part of a column shares its buffer; pickling a small part copies only the texts it needs. A process that starts
    anew maps a large column, and does not get a copy.
    """

    buffer: bytes | mmap
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> TextColumn:
        """Makes a column of these texts."""
        texts = list(texts)
        lengths = np.fromiter(map(len, texts), np.int32, len(texts))
        return cls(b"".join(texts), np.cumsum(lengths, dtype=np.int64) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, positions: int) -> bytes: ...

    @overload
    def __getitem__(self, positions: slice | np.ndarray) -> TextColumn: ...

    def __getitem__(self, positions: Any) -> bytes | TextColumn:
        """Returns the text at a position, or the column of the texts at several."""
        starts, lengths = self.starts[positions], self.lengths[positions]
        if np.ndim(starts):
            return TextColumn(self.buffer, starts, lengths)
        return self.buffer[int(starts) : int(starts) + int(lengths)]

    def __iter__(self) -> Iterator[bytes]:
        for texts in self.chunks():
            yield from texts

    def chunks(self) -> Iterator[list[bytes]]:
        """Yields the texts in order, in lists of up to CHUNK."""
        buffer = self.buffer
        for first in range(0, len(self), CHUNK):
            starts = self.starts[first : first + CHUNK]
            ends = starts + self.lengths[first : first + CHUNK]
            yield [buffer[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def digests(self) -> np.ndarray:
        """Returns a hash of each text, uint64 (n,): equal for equal texts, and in all likelihood for no others."""
        digests = np.empty(len(self), np.uint64)
        buffer = self.buffer if len(self.buffer) >= WORD else bytes(self.buffer).ljust(WORD, b"\0")
        words = np.ndarray(len(buffer) - WORD + 1, "<u8", buffer, strides=(1,))  # one from each byte on
        for first in range(0, len(self), CHUNK):
            part = slice(first, first + CHUNK)
            digests[part] = _digests(words, self.starts[part], self.lengths[part].astype(np.int64))
        return digests

    def tolist(self) -> list[bytes]:
        """Returns all texts."""
        return list(self)

    def tobytes(self) -> bytes:
        """Returns all texts, each followed by a newline."""
        return b"".join(b"\n".join([*texts, b""]) for texts in self.chunks())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # An object array: an array of bytes would pad each text to the longest.
        return np.array([*self, None], dtype=object)[:-1]

    def __reduce__(self) -> tuple[Any, ...]:
        if 2 * int(self.lengths.sum(dtype=np.int64)) < len(self.buffer):
            return TextColumn.of, (self.tolist(),)
        if is_shared(len(self.buffer)):
            texts = shared(np.frombuffer(self.buffer, np.uint8), self, "texts")
            return _mapped, (texts, shared(self.starts, self, "starts"), shared(self.lengths, self, "lengths"))
        return TextColumn, (self.buffer[:], self.starts, self.lengths)


def _mapped(texts: Shared, starts: Shared, lengths: Shared) -> TextColumn:
    return TextColumn(texts.content(), starts.array(), lengths.array())


class Names(NamedTuple):
    """A name for each of many videos: the number of it, int32 (n,), -1 if unknown, and the known names, sorted."""

    numbers: np.ndarray
    known: TextColumn

    def select(self, positions: np.ndarray) -> Names:
        """Returns the names at these positions."""
        return Names(self.numbers[positions], self.known)

    def each(self) -> Iterator[bytes]:
        """Yields the name of each video, empty where unknown."""
        known = [*self.known, b""]
        for first in range(0, len(self.numbers), CHUNK):
            yield from (known[number] for number in self.numbers[first : first + CHUNK].tolist())

    def tolist(self) -> list[bytes]:
        """Returns the name of each video, empty where unknown."""
        return list(self.each())


def _digests(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Hashes texts word by word, uint64 (n,); words: those that begin at each byte of the buffer."""
    digests = lengths.astype(np.uint64)
    for offset in range(0, int(lengths.max(initial=0)), WORD):
        rows = np.flatnonzero(lengths > offset)
        places = starts[rows] + offset
        inside = np.minimum(places, len(words) - 1)  # the last words are read from before, and shifted
        left = np.minimum(lengths[rows] - offset, WORD)
        word = words[inside] >> (8 * (places - inside)).astype(np.uint64)
        word &= ~np.uint64(0) >> (8 * (WORD - left)).astype(np.uint64)
        mixed = (digests[rows] ^ word) * ODD
        digests[rows] = mixed ^ (mixed >> np.uint64(32))
    return digests
