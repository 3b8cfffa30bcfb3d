"""Many texts in one buffer, cheap for workers to share and copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

CHUNK = 65_536  # texts that are Python objects at a time


@dataclass(frozen=True, eq=False)
class TextColumn(Sequence[bytes]):
    """Texts as slices of a buffer: memory grows with their total length, not with the longest one.

    buffer: contains them, and may contain more; starts: int64 (n,), lengths: int32 (n,), the slice of each text.
    A part of a column shares its buffer; pickling a small part copies only the texts it needs.
    """

    buffer: bytes
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
        is_most = 2 * int(self.lengths.sum(dtype=np.int64)) >= len(self.buffer)
        return (TextColumn, (self.buffer, self.starts, self.lengths)) if is_most else (TextColumn.of, (self.tolist(),))
