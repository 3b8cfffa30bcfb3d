"""The paths of many videos as columns: ten million take half a gigabyte, and two as strings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from tbe.data.sources.text_columns import CHUNK, TextColumn


class PathColumn(Sequence[str]):
    """The paths of one or several lists, one list after the other.

    columns: of each list; where nothing is taken out, the very column that was read.
    """

    def __init__(self, columns: Sequence[TextColumn]):
        self.columns = tuple(column for column in columns if len(column))
        self._starts = np.cumsum([0, *map(len, self.columns)])

    @classmethod
    def of(cls, paths: Sequence[str]) -> PathColumn:
        """Returns some paths as a column; one that is a column as it is."""
        return paths if isinstance(paths, PathColumn) else cls([TextColumn.of(map(os.fsencode, paths))])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[str]:
        return (os.fsdecode(text) for column in self.columns for text in column)

    @overload
    def __getitem__(self, positions: int) -> str: ...

    @overload
    def __getitem__(self, positions: slice | np.ndarray) -> PathColumn: ...

    def __getitem__(self, positions: Any) -> str | PathColumn:
        """Returns the path at a position, or those at several, which come in ascending order."""
        if isinstance(positions, slice):
            positions = np.arange(len(self))[positions]
            if len(positions) == len(self):
                return self
        if not np.ndim(positions):
            return os.fsdecode(self.texts(np.array([range(len(self))[int(positions)]]))[0])
        ends = np.searchsorted(positions, self._starts)
        parts = zip(self.columns, self._starts, ends, ends[1:], strict=False)
        return PathColumn([column[positions[first:last] - start] for column, start, first, last in parts])

    def chunks(self) -> Iterator[list[str]]:
        """Yields the paths in order, in lists of up to CHUNK."""
        return (list(map(os.fsdecode, texts)) for column in self.columns for texts in column.chunks())

    def texts(self, positions: np.ndarray) -> list[bytes]:
        """Returns the paths at some positions, in any order, as bytes."""
        if len(self.columns) == 1:
            return self.columns[0][positions].tolist()
        texts: list[bytes] = [b""] * len(positions)
        numbers = np.searchsorted(self._starts, positions, side="right") - 1
        for number, column in enumerate(self.columns):
            rows = np.flatnonzero(numbers == number)
            for row, text in zip(rows.tolist(), column[positions[rows] - self._starts[number]], strict=True):
                texts[row] = text
        return texts

    def start_of(self, column: TextColumn) -> int | None:
        """Returns the position of the first path of one of the columns; None for any other column."""
        starts = (int(start) for own, start in zip(self.columns, self._starts, strict=False) if own is column)
        return next(starts, None)

    def positions(self, texts: TextColumn) -> np.ndarray:
        """Returns the positions of some paths, int64 (n,), -1 where a path is not among these."""
        if not len(self):
            return np.full(len(texts), -1)
        digests, order = self._digests
        wanted = texts.digests()
        places = np.searchsorted(digests, wanted)
        inside = places.clip(max=len(order) - 1)
        positions = np.where(digests[inside] == wanted, order[inside].astype(np.int64), -1)
        rows = np.flatnonzero(positions >= 0)
        found = zip(rows.tolist(), self.texts(positions[rows]), texts[rows], strict=True)
        for row in [row for row, one, other in found if one != other]:  # equal digests of different paths
            positions[row] = self._among_equal_digests(texts[row], int(places[row]))
        return positions

    def repeated(self) -> np.ndarray:
        """Returns the positions of paths that come before as well, int64 (n,), in no order."""
        digests, order = self._digests
        is_same = digests[1:] == digests[:-1]
        rows = np.flatnonzero(np.append(is_same, False) | np.append(False, is_same))
        repeated: list[int] = []
        seen: set[bytes] = set()
        before = None
        for first in range(0, len(rows), CHUNK):
            some = rows[first : first + CHUNK]
            positions = order[some].astype(np.int64)
            for digest, position, text in zip(digests[some], positions.tolist(), self.texts(positions), strict=True):
                if digest != before:
                    seen, before = set(), digest
                if text in seen:
                    repeated.append(position)
                seen.add(text)
        return np.array(repeated, np.int64)

    def _among_equal_digests(self, text: bytes, place: int) -> int:
        digests, order = self._digests
        for other in range(place, int(np.searchsorted(digests, digests[place], side="right"))):
            if self.texts(order[other : other + 1].astype(np.int64)) == [text]:
                return int(order[other])
        return -1

    @cached_property
    def _digests(self) -> tuple[np.ndarray, np.ndarray]:
        """The digests of the paths, sorted, and their positions; of equal ones in ascending order."""
        digests = np.concatenate([np.zeros(0, np.uint64), *(column.digests() for column in self.columns)])
        order = np.argsort(digests, kind="stable")
        return digests[order], order.astype(np.min_scalar_type(max(1, len(order))))


def distinct(columns: Sequence[TextColumn]) -> PathColumn:
    """Returns each path of some lists once, in the order in which they come first."""
    every = PathColumn(columns)
    repeated = every.repeated()
    if not len(repeated):
        return every
    is_kept = np.ones(len(every), bool)
    is_kept[repeated] = False
    starts = every._starts.tolist()
    kept = [is_kept[start : start + len(column)] for column, start in zip(every.columns, starts, strict=False)]
    parts = zip(every.columns, kept, strict=True)
    return PathColumn([column if some.all() else column[np.flatnonzero(some)] for column, some in parts])
