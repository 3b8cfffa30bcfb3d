"""Many texts in one buffer, as what workers share and copies cost little of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

AT_ONCE = 65_536  # texts that are Python objects at a time


@dataclass(frozen=True, eq=False)
class TextColumn(Sequence[bytes]):
    """Texts as places in a buffer: the memory they take follows their length in all, not that of the longest.

    buffer: what holds them, and may hold more; starts: int64 (n,), lengths: int32 (n,), where each of them is.
    A part of a column shares its buffer; what goes to another process takes along no more than it needs.
    """

    buffer: bytes
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> TextColumn:
        """A column of these texts."""
        texts = list(texts)
        lengths = np.fromiter(map(len, texts), np.int32, len(texts))
        return cls(b"".join(texts), np.cumsum(lengths, dtype=np.int64) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, places: int) -> bytes: ...

    @overload
    def __getitem__(self, places: slice | np.ndarray) -> TextColumn: ...

    def __getitem__(self, places: Any) -> bytes | TextColumn:
        """The text at a place, or the column of those at several."""
        starts, lengths = self.starts[places], self.lengths[places]
        if np.ndim(starts):
            return TextColumn(self.buffer, starts, lengths)
        return self.buffer[int(starts) : int(starts) + int(lengths)]

    def __iter__(self) -> Iterator[bytes]:
        for texts in self.in_parts():
            yield from texts

    def in_parts(self) -> Iterator[list[bytes]]:
        """The texts in order, a list of some of them at a time."""
        buffer = self.buffer
        for first in range(0, len(self), AT_ONCE):
            starts = self.starts[first : first + AT_ONCE]
            ends = starts + self.lengths[first : first + AT_ONCE]
            yield [buffer[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def tolist(self) -> list[bytes]:
        """All texts."""
        return list(self)

    def tobytes(self) -> bytes:
        """All texts, each with a line end after it."""
        return b"".join(b"\n".join([*texts, b""]) for texts in self.in_parts())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # Of objects: an array of bytes would have the length of the longest for each.
        return np.array([*self, None], dtype=object)[:-1]

    def __reduce__(self) -> tuple[Any, ...]:
        is_most = 2 * int(self.lengths.sum(dtype=np.int64)) >= len(self.buffer)
        return (TextColumn, (self.buffer, self.starts, self.lengths)) if is_most else (TextColumn.of, (self.tolist(),))
