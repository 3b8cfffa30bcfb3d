"""Reading csv and json files, where errors name the place, and text of any bytes."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tbe.errors import UserError

MARKS = {  # what a text starts with -> its encoding; the longer first, of which the others are the beginning
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def csv_rows(file: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a csv file that are not empty, fields stripped, each after its place 'file:number'."""
    rows = csv.reader(text_of(file).split("\n"), delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield f"{file}:{rows.line_num}", [field.strip() for field in row]
    except csv.Error as error:
        raise UserError(
            f"{file}:{rows.line_num}: expected fields parted by {delimiter!r}, got an error: {error}"
        ) from error


def read_json(file: Path) -> Any:
    """What a json file holds; a ValueError names the line that is no json."""
    try:
        return json.loads(text_of(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: expected json, got an error: {error.msg}") from error


def text_of(file: Path, errors: str = "strict") -> str:
    """What a text file holds, with '\\n' at the ends of lines; a ValueError for one that is not UTF-8.

    errors: what becomes of bytes that are no UTF-8, as `bytes.decode` takes it.
    """
    try:
        text = in_utf8(file.read_bytes(), file).decode(errors=errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: expected text in UTF-8, got {error.reason} at byte {error.start}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def in_utf8(content: bytes, file: str | os.PathLike) -> bytes:
    """A text's bytes without the mark at its start, in UTF-8 where that mark says UTF-16 or UTF-32 (of Windows).

    ValueError for what is not what its mark says, and for UTF-16 without a mark, which is full of zeros.
    """
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            try:
                return content.removeprefix(mark).decode(encoding).encode()
            except UnicodeError as error:
                raise UserError(f"{file}: expected text in {encoding}, as its first bytes say, got {error}") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        raise UserError(f"{file}: expected text, got bytes of 0, as UTF-16 without a mark has: save it as UTF-8")
    return content


def printable(text: str) -> str:
    """Text that any terminal takes: of bytes that are no UTF-8 their numbers."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
