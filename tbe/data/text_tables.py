"""Reading csv and json files, where errors name the place, and text of any bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def csv_rows(file: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a csv file that are not empty, fields stripped, each after its place 'file:number'."""
    rows = csv.reader(text_of(file).split("\n"), delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield f"{file}:{rows.line_num}", [field.strip() for field in row]
    except csv.Error as error:
        raise ValueError(
            f"{file}:{rows.line_num}: expected fields parted by {delimiter!r}, got an error: {error}"
        ) from error


def read_json(file: Path) -> Any:
    """What a json file holds; a ValueError names the line that is no json."""
    try:
        return json.loads(text_of(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}: expected json, got an error: {error.msg}") from error


def text_of(file: Path) -> str:
    """What a text file holds; a ValueError for one that is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected text in UTF-8, got {error.reason} at byte {error.start}") from error


def printable(text: str) -> str:
    """Text that any terminal takes: of bytes that are no UTF-8 their numbers."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
