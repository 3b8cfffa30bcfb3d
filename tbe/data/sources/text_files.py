"""Reads text, csv and json files, with errors that name the place."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tbe.errors import UserError

BYTE_ORDER_MARKS = {  # mark -> encoding; longer ones first, since the others are prefixes of them
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def csv_rows(file: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the place 'file:line' and the stripped fields of each row of a csv file that is not empty."""
    rows = csv.reader(read_text(file).split("\n"), delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield f"{file}:{rows.line_num}", [field.strip() for field in row]
    except csv.Error as error:
        raise UserError(
            f"{file}:{rows.line_num}: expected fields separated by {delimiter!r}, got an error: {error}"
        ) from error


def numbered_lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yields ('file:number', stripped line) for each line that is not empty; accepts any kind of line endings."""
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if line.strip():
            yield f"{file}:{number}", line.strip()


def read_json(file: Path) -> Any:
    """Reads a json file; raises UserError, naming the line, if it is not valid."""
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: expected json, got an error: {error.msg}") from error


def read_text(file: Path, errors: str = "strict") -> str:
    """Reads a text file, with '\\n' line endings; raises UserError if it is not UTF-8.

    errors: how to treat bytes that are not UTF-8, as in `bytes.decode`.
    """
    try:
        text = to_utf8(file.read_bytes(), file).decode(errors=errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: expected text in UTF-8, got {error.reason} at byte {error.start}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def to_utf8(content: bytes, file: str | os.PathLike) -> bytes:
    """Returns a text without its byte order mark, converted to UTF-8 if the mark is of UTF-16 or UTF-32 (on Windows).

    Raises UserError if the text contradicts its mark, and for UTF-16 without a mark, which is full of zero bytes.
    """
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            try:
                return content.removeprefix(mark).decode(encoding).encode()
            except UnicodeError as error:
                raise UserError(f"{file}: expected text in {encoding}, as its first bytes say, got {error}") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        raise UserError(f"{file}: expected text, got zero bytes, as in UTF-16 without a mark: save it as UTF-8")
    return content


def printable(text: str) -> str:
    """Returns text that any terminal can print, with bytes that are not UTF-8 escaped."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
