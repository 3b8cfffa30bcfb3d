"""The report of a command: the outcome of each video, written row by row."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from tbe.errors import UserError
from tbe.runs import replacing

if sys.platform != "win32":
    import fcntl

TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
REPEATED = ("status", "settings")  # columns with the same few texts in millions of rows
STATUSES = ("ok", "failed", "timeout", "crashed")


class Report:
    """A csv file that rows are appended to, with the rows of earlier runs; the last row of a video counts.

    row_type: a NamedTuple of str, int and float, including path, status and reason; its fields are the columns.
    Drops an incomplete last line of a run that was stopped. Raises UserError for a file that is not such a report.
    """

    def __init__(self, file: Path, row_type: type[NamedTuple]):
        self.file = file
        self.row_type = row_type
        self.rows: dict[str, Any] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size:
            self._cut_to_whole_lines()
            self._read()
        if not file.exists() or not file.stat().st_size:
            self._append(row_type._fields)

    def add(self, row: Any) -> None:
        """Adds a row, also to the file."""
        row = row._replace(reason=" ".join(row.reason.split())[:300])
        self.rows[row.path] = row
        self._append(row)

    def forget(self, unwanted: Callable[[Any], bool]) -> None:
        """Forgets the rows for which this is true, so that their videos are processed again."""
        self.rows = {path: row for path, row in self.rows.items() if not unwanted(row)}

    def rewrite(self, paths: Iterable[str]) -> None:
        """Replaces the file by one with the rows of these videos, in this order; atomically."""
        with replacing(self.file) as part, open(part, "w", **TEXT) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([self.row_type._fields, *(self.rows[path] for path in paths)])

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

    def _cut_to_whole_lines(self) -> None:
        content = self.file.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            with open(self.file, "r+b") as file:
                file.truncate(complete)

    def _read(self) -> None:
        columns = self.row_type._fields
        kinds = get_type_hints(self.row_type) | dict.fromkeys(REPEATED, sys.intern)  # each text once in memory
        with open(self.file, **TEXT) as file:
            rows = csv.reader(file)
            header = next(rows, list(columns))
            if tuple(header) != columns:
                raise UserError(f"{self.file}: expected a report of this command ({','.join(columns)}), got {header}")
            for fields in rows:
                try:
                    row: Any = self.row_type(*(kinds[name](field) for name, field in zip(columns, fields, strict=True)))
                except ValueError:
                    row = None
                if row is None or row.status not in STATUSES:
                    raise UserError(f"{self.file}:{rows.line_num}: expected {','.join(header)}, got {fields}")
                self.rows[row.path] = row
