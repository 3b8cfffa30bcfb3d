"""The report of a command: the outcome of each video, written row by row."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from tbe.errors import UserError
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.row_columns import RowColumns
from tbe.runs import replacing

if sys.platform != "win32":
    import fcntl

TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
REPEATED = ("status", "settings")  # columns with the same few texts in millions of rows
STATUSES = ("ok", "failed", "timeout", "crashed")
BYTES_AT_ONCE = 2**16


class Report:
    """A csv file that rows are appended to, with the rows of earlier runs; the last row of a video counts.

    row_type: a NamedTuple of str, int and float, including path, status and reason; its fields are the columns.
    paths: the only videos that count, whose rows are then kept as columns: nothing is added. rows: without `paths`, by
    the path of the video. Drops an incomplete last line of a run that was stopped. Raises UserError for a file that is
    not such a report.
    """

    def __init__(self, file: Path, row_type: type[NamedTuple], paths: PathColumn | None = None):
        self.file = file
        self.row_type = row_type
        self.rows: dict[str, Any] = {}
        self._columns = None if paths is None else RowColumns(row_type, paths)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.include(file)
        if not file.exists() or not file.stat().st_size:
            self._append(row_type._fields)

    def include(self, file: Path) -> None:
        """Reads the rows of a report of the same kind, which count in place of earlier ones."""
        if file.exists() and file.stat().st_size:
            _cut_to_whole_lines(file)
            for row in _rows_in(file, self.row_type):
                if self._columns is None:
                    self.rows[row.path] = row
                else:
                    self._columns.put(row)

    def add(self, row: Any) -> None:
        """Adds a row, also to the file."""
        row = row._replace(reason=" ".join(row.reason.split())[:300])
        self.rows[row.path] = row
        self._append(row)

    def rows_of(self, paths: Iterable[str]) -> Iterator[Any]:
        """Yields the rows of these videos in this order; raises KeyError for one without."""
        return map(self.rows.__getitem__, paths) if self._columns is None else self._columns.of(paths)

    def has(self, paths: Iterable[str]) -> Iterator[bool]:
        """Yields whether there is a row of each of these videos."""
        return map(self.rows.__contains__, paths) if self._columns is None else self._columns.has(paths)

    def __iter__(self) -> Iterator[Any]:
        """Yields all rows."""
        return iter(self.rows.values() if self._columns is None else self._columns)

    def forget(self, unwanted: Callable[[Any], bool]) -> None:
        """Forgets the rows for which this is true, so that their videos are processed again."""
        if self._columns is not None:
            self._columns.forget(unwanted)
        self.rows = {path: row for path, row in self.rows.items() if not unwanted(row)}

    def rewrite(self, paths: Iterable[str]) -> None:
        """Replaces the file by one with the rows of these videos, in this order; atomically."""
        with replacing(self.file) as part, open(part, "w", **TEXT) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(chain([self.row_type._fields], self.rows_of(paths)))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Locks the file meanwhile; raises UserError if another process has, since both would do the same work."""
        with open(self.file, "ab") as file:
            try:
                if sys.platform != "win32":
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"{self.file}: expected to be the only process, got another that uses it") from error
            except OSError:  # a file system without locks
                pass
            yield

    def _append(self, fields: tuple) -> None:
        with open(self.file, "a", **TEXT) as file:
            csv.writer(file, lineterminator="\n").writerow(fields)


def _cut_to_whole_lines(file: Path) -> None:
    """Takes what follows the last line break off a file."""
    with open(file, "r+b") as content:
        end = complete = content.seek(0, os.SEEK_END)
        while complete:
            start = max(0, complete - BYTES_AT_ONCE)
            content.seek(start)
            if (place := content.read(complete - start).rfind(b"\n")) >= 0:
                complete = start + place + 1
                break
            complete = start
        if complete < end:
            content.truncate(complete)


def _rows_in(file: Path, row_type: type[NamedTuple]) -> Iterator[Any]:
    """Yields the rows of a report; raises UserError for a file that is none."""
    columns = row_type._fields
    kinds = get_type_hints(row_type) | dict.fromkeys(REPEATED, sys.intern)  # each text once in memory
    with open(file, **TEXT) as content:
        rows = csv.reader(content)
        header = next(rows, list(columns))
        if tuple(header) != columns:
            raise UserError(f"{file}: expected a report of this command ({','.join(columns)}), got {header}")
        for fields in rows:
            try:
                row: Any = row_type(*(kinds[name](field) for name, field in zip(columns, fields, strict=True)))
            except ValueError:
                row = None
            if row is None or row.status not in STATUSES:
                raise UserError(f"{file}:{rows.line_num}: expected {','.join(header)}, got {fields}")
            yield row
