"""The rows of a report as columns, for lists of many millions of videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from tbe.data.sources.text_columns import CHUNK, TextColumn
from tbe.prepare.common.path_column import PathColumn


class RowColumns:
    """The last row of each of these videos; rows of others are dropped.

    row_type: a NamedTuple of str, int and float, including path.
    """

    def __init__(self, row_type: type[NamedTuple], paths: PathColumn):
        self.paths = paths
        self._make: Callable[[Iterable], Any] = row_type._make
        kinds = get_type_hints(row_type)
        self._columns = {name: _Column(kinds[name], len(paths)) for name in row_type._fields if name != "path"}
        self._place = row_type._fields.index("path")
        self._is_known = np.zeros(len(paths), bool)
        self._pending: dict[str, Any] = {}

    def put(self, row: Any) -> None:
        """Adds a row, in place of an earlier one of its video."""
        self._pending.pop(row.path, None)
        self._pending[row.path] = row
        if len(self._pending) >= CHUNK:
            self._settle()

    def of(self, paths: Iterable[str]) -> Iterator[Any]:
        """Yields the rows of these videos in this order; raises KeyError for one without."""
        for some, positions in self._located(paths):
            if not self._knows(positions).all():
                raise KeyError(some[int(np.argmin(self._knows(positions)))])
            yield from self._rows(some, positions)

    def has(self, paths: Iterable[str]) -> Iterator[bool]:
        """Yields whether there is a row of each of these videos."""
        for _, positions in self._located(paths):
            yield from self._knows(positions).tolist()

    def __iter__(self) -> Iterator[Any]:
        """Yields all rows, in the order of the videos."""
        for some, positions in self._located(self.paths):
            known = np.flatnonzero(self._is_known[positions])
            yield from self._rows([some[place] for place in known.tolist()], positions[known])

    def forget(self, unwanted: Callable[[Any], bool]) -> None:
        """Forgets the rows for which this is true."""
        for some, positions in self._located(self.paths):
            known = np.flatnonzero(self._is_known[positions])
            rows = self._rows([some[place] for place in known.tolist()], positions[known])
            self._is_known[positions[known]] = [not unwanted(row) for row in rows]

    def _located(self, paths: Iterable[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yields some paths at a time with their positions, -1 for a path that is not known."""
        self._settle()
        if isinstance(paths, PathColumn):
            for column in paths.columns:
                start, first = self.paths.start_of(column), 0
                for texts in column.chunks():
                    last = first + len(texts)
                    if start is None:
                        positions = self.paths.positions(column[first:last])
                    else:
                        positions = np.arange(start + first, start + last)
                    yield list(map(os.fsdecode, texts)), positions
                    first = last
            return
        paths = iter(paths)
        while some := list(islice(paths, CHUNK)):
            yield some, self.paths.positions(TextColumn.of(map(os.fsencode, some)))

    def _knows(self, positions: np.ndarray) -> np.ndarray:
        return (positions >= 0) & self._is_known[positions] if len(self._is_known) else positions >= 0

    def _rows(self, paths: list[str], positions: np.ndarray) -> Iterator[Any]:
        fields: list[Sequence] = [column.get(positions) for column in self._columns.values()]
        fields.insert(self._place, paths)
        return map(self._make, zip(*fields, strict=True))

    def _settle(self) -> None:
        """Moves the rows that were added into the columns."""
        if not self._pending:
            return
        rows, self._pending = list(self._pending.values()), {}
        positions = self.paths.positions(TextColumn.of(os.fsencode(row.path) for row in rows))
        rows = [row for row, position in zip(rows, positions.tolist(), strict=True) if position >= 0]
        positions = positions[positions >= 0]
        for name, column in self._columns.items():
            column.put(positions, [getattr(row, name) for row in rows])
        self._is_known[positions] = True


class _Column:
    """Numbers, or texts of which many are the same, at positions; as narrow as they allow."""

    def __init__(self, kind: type, length: int):
        self._is_text = kind is str
        self._numbers: dict[str, int] = {}  # of the different texts
        self._texts: list[str] = []
        self._values = np.zeros(length, np.float64 if kind is float else np.uint8)

    def put(self, positions: np.ndarray, values: list) -> None:
        if self._is_text:
            values = [self._number(text) for text in values]
        if values and self._values.dtype.kind in "ui":
            kind = np.result_type(self._values.dtype, *map(np.min_scalar_type, (min(values), max(values))))
            self._values = self._values.astype(object if kind.kind == "f" else kind, copy=False)
        self._values[positions] = values

    def get(self, positions: np.ndarray) -> list:
        values = self._values[positions].tolist()
        return [self._texts[number] for number in values] if self._is_text else values

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number
