"""The report: how each video decoded, one row as soon as it is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

STATUSES = ("ok", "failed", "timeout", "crashed")


class ReportRow(NamedTuple):
    """How one video of a list decoded; zeros unless the status is ok."""

    path: str
    label: int
    status: str
    frames: int = 0
    height: int = 0
    width: int = 0
    reason: str = ""


class Report:
    """A csv file that rows are added to, and that knows those of earlier runs.

    A last line that was cut off when such a run was stopped is dropped. ValueError for a file that is no report.
    """

    def __init__(self, file: Path):
        self.file = file
        self.rows: dict[str, ReportRow] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size:
            self._cut_to_whole_lines()
            self._read()
        if not file.exists() or not file.stat().st_size:
            self._append(ReportRow._fields)

    def add(self, row: ReportRow) -> None:
        """Keeps the row, in the file too."""
        row = row._replace(reason=" ".join(row.reason.split())[:300])
        self.rows[row.path] = row
        self._append(row)

    def _append(self, fields: tuple) -> None:
        with open(self.file, "a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(fields)

    def _cut_to_whole_lines(self) -> None:
        content = self.file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with open(self.file, "r+b") as file:
                file.truncate(whole)

    def _read(self) -> None:
        with open(self.file, encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, list(ReportRow._fields))
            if tuple(header) != ReportRow._fields:
                raise ValueError(
                    f"{self.file}: expected a report of this command ({','.join(ReportRow._fields)}), got {header}"
                )
            for fields in rows:
                numbers = [field for place, field in enumerate(fields) if place in (1, 3, 4, 5)]
                if len(fields) != len(header) or fields[2] not in STATUSES or not all(map(str.isdigit, numbers)):
                    raise ValueError(f"{self.file}:{rows.line_num}: expected {','.join(header)}, got {fields}")
                label, *size = map(int, numbers)
                self.rows[fields[0]] = ReportRow(fields[0], label, fields[2], *size, reason=fields[6])
