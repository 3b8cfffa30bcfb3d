"""Parses the rows of a list file, most of them vectorized instead of one by one in Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tbe.data.sources.list_hints import hint_of_line, hint_of_path, hint_of_quotes
from tbe.data.sources.text_columns import Names, TextColumn
from tbe.errors import UserError

FORMATS = {2: "<path> <label>", 3: "<path> <label> <num_frames>"}
BYTES_AT_ONCE = 2**23
MAX_DIGITS = 18  # always fit into an int64
SEPARATORS, SPACES, QUOTES = (np.frombuffer(octets, np.uint8) for octets in (b" \t", b" \t\v\f", b"\"'"))


class Rows(NamedTuple):
    """The columns of a list: paths, labels and frame counts (0 if the list has none), int64 (n,) each.

    scenes, groups: None if it has none, as text lists. is_table: whether the paths are from a table, not between lines.
    """

    paths: TextColumn
    labels: np.ndarray
    num_frames: np.ndarray
    scenes: Names | None = None
    groups: Names | None = None
    is_table: bool = False

    def line(self, row: int) -> int:
        """Returns the number of the line that a row was read from, or of the row of a table, counted from 1."""
        return 1 + (row if self.is_table else self.paths.buffer.count(b"\n", 0, int(self.paths.starts[row])))


def rows_of(content: bytes, root: str | os.PathLike, file: str | os.PathLike) -> Rows:
    """Parses a list in UTF-8; raises UserError for a line that is no row, or a list without rows."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    parser = _Parser(content, _num_columns(content, root, file), root, file)
    most = content.count(b"\n") + 1  # allocated once: parts to join would need twice the memory
    columns = [np.empty(most, kind) for kind in (np.int64, np.int32, np.int64, np.int64)]
    num_rows, num_lines = 0, 0
    for starts, ends in _lines(content):
        part = parser.rows(starts, ends, num_lines + 1)
        for column, values in zip(columns, part, strict=True):
            column[num_rows : num_rows + len(values)] = values
        num_rows, num_lines = num_rows + len(part[0]), num_lines + len(starts)
    begins, lengths, labels, num_frames = (column[:num_rows] for column in columns)
    return Rows(TextColumn(content, begins, lengths), labels, num_frames)


def _lines(content: bytes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields where lines start and end, int64 (n,) each, for some lines at a time."""
    octets, start = np.frombuffer(content, np.uint8), 0
    for first in range(0, len(octets), BYTES_AT_ONCE):
        ends = first + np.flatnonzero(octets[first : first + BYTES_AT_ONCE] == ord("\n"))
        if first + BYTES_AT_ONCE >= len(octets):
            ends = np.append(ends, len(content))
        if len(ends):
            yield np.concatenate([[start], ends[:-1] + 1]), ends
            start = int(ends[-1]) + 1


def _num_columns(content: bytes, root: str | os.PathLike, file: str | os.PathLike) -> int:
    """Returns the number of columns of the first row, 2 or 3; raises UserError if it is no row."""
    start, number = 0, 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        line, start, number = os.fsdecode(content[start:end]).strip(), end + 1, number + 1
        if line and not line.startswith("#"):
            count = _columns(line, root)
            hint = hint_of_path(line.rsplit(None, count - 1)[0], root, file) if count else hint_of_line(line, file)
            if hint or not count:
                wanted = " or ".join(f"'{form}'" for form in FORMATS.values())
                raise UserError(f"{file}:{number}: expected {wanted}, got {line!r}.{hint}")
            return count
    raise UserError(f"{file}: expected at least one line of '{FORMATS[2]}', got an empty list")


def _columns(line: str, root: str | os.PathLike) -> int:
    """Returns 2 or 3, by how many integers end the line; 0 if none does."""
    fields = line.rsplit(None, 2)
    numbers = [_is_count(field) for field in fields[1:]]
    if len(fields) == 3 and all(numbers):
        # A folder may be named 'clip 7': only the files on disk decide.
        shorter, longer = (os.path.join(root, line.rsplit(None, count)[0]) for count in (2, 1))
        return 2 if os.path.exists(longer) and not os.path.exists(shorter) else 3
    return 2 if numbers and numbers[-1] else 0


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit()


@dataclass(frozen=True)
class _Parser:
    """Parses lines of one list: those with a single space or tab between fields in bulk, others one by one."""

    content: bytes
    num_columns: int
    root: str | os.PathLike
    file: str | os.PathLike

    def rows(self, starts: np.ndarray, ends: np.ndarray, number: int) -> list[np.ndarray]:
        """Returns the starts and lengths of paths, labels and frame counts; number: that of the first line."""
        octets = np.frombuffer(self.content, np.uint8)
        lines = np.flatnonzero(starts < ends)
        lines = lines[octets[starts[lines]] != ord("#")]
        starts, ends = starts[lines], ends[lines]
        counts, path_ends, is_plain = np.zeros((2, len(lines)), np.int64), ends, np.ones(len(lines), bool)
        for column in reversed(range(self.num_columns - 1)):
            counts[column], path_ends, is_field = _counts_before(octets, starts, path_ends)
            is_plain &= is_field
        first, last = octets[starts], octets[path_ends - 1]
        is_plain &= ~np.isin(first, SPACES) & ~np.isin(last, SPACES) & ~((first == last) & np.isin(first, QUOTES))
        lengths, is_row = (path_ends - starts).astype(np.int32), np.ones(len(lines), bool)
        for place in np.flatnonzero(~is_plain).tolist():
            row = self._row(int(starts[place]), int(ends[place]), number + int(lines[place]))
            if row is None:
                is_row[place] = False
            else:
                starts[place], lengths[place], counts[: self.num_columns - 1, place] = row
        return [column[is_row] for column in (starts, lengths, *counts)]

    def _row(self, start: int, end: int, number: int) -> tuple[int, int, list[int]] | None:
        """Returns the start and length of a path, and the numbers after it; None for a line that is skipped."""
        line = os.fsdecode(self.content[start:end])
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            return None
        path, *numbers = stripped.rsplit(None, self.num_columns - 1)
        if len(numbers) != self.num_columns - 1 or not all(map(_is_count, numbers)):
            wanted = f"'{FORMATS[self.num_columns]}' like the lines before it"
            hint = hint_of_line(stripped, self.file)
            raise UserError(f"{self.file}:{number}: expected {wanted}, got {stripped!r}.{hint}")
        for field in numbers:
            if len(field.lstrip("0")) > MAX_DIGITS:
                raise UserError(f"{self.file}:{number}: expected at most {MAX_DIGITS} digits, got {field} for {path!r}")
        if hint := hint_of_quotes(path, self.root):
            raise UserError(f"{self.file}:{number}: expected '{FORMATS[self.num_columns]}', got {stripped!r}.{hint}")
        indent = line[: len(line) - len(line.lstrip())]
        return start + len(os.fsencode(indent)), len(os.fsencode(path)), list(map(int, numbers))


def _counts_before(octets: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
    """Parses the integer that ends each piece: its value, the end of the text before it, and whether it is a field.

    A field is an integer after one space or tab and a text that is not empty. Other pieces keep their ends.
    """
    counts, places, left, scale = np.zeros(len(starts), np.int64), ends.copy(), np.arange(len(starts)), 1
    for _ in range(MAX_DIGITS):
        digits = octets[places[left] - 1] - np.uint8(ord("0"))  # below it, far above 9
        is_digit = (digits < 10) & (places[left] > starts[left] + 1)
        left, digits = left[is_digit], digits[is_digit]
        if not len(left):
            break
        counts[left] += digits * np.int64(scale)
        places[left] -= 1
        scale *= 10
    is_field = (places < ends) & (places > starts + 1) & np.isin(octets[places - 1], SEPARATORS)
    return counts, np.where(is_field, places - 1, ends), is_field
