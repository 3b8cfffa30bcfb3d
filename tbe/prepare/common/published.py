"""Reads the published files of data sets, with errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tbe.data.sources.text_files import read_json
from tbe.errors import MissingFile, UserError


def expect_files(folder: Path, names: list[str]) -> None:
    """Raises MissingFile if one of these files is missing, naming the expected and the missing ones."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        there = "" if folder.is_dir() else " (no such folder)"
        raise MissingFile(f"{folder}: expected {_some(names)}; missing: {_some(missing)}{there}")


def existing_parts(folder: Path, parts: dict[str, list[str]]) -> dict[str, Path]:
    """Returns, for each part of a data set, the first of its possible files that exists; prints which part has none.

    Raises MissingFile if no part has one.
    """
    found = {}
    for part, names in parts.items():
        files = [folder / name for name in names if (folder / name).is_file()]
        if files:
            found[part] = files[0]
        else:
            print(f"{folder}: no {' or '.join(names)}, so no {part}.txt")
    if not found:
        raise MissingFile(f"{folder}: expected one of {_some([name for part in parts.values() for name in part])}")
    return found


def name_and_number(place: str, text: str, form: str, number_first: bool = False) -> tuple[str, int]:
    """Parses a line of a name, which may contain spaces, and a number; raises UserError, also if they are swapped."""
    head, tail = text.split(None, 1), text.rsplit(None, 1)
    starts_with_number = len(head) == 2 and is_count(head[0])
    ends_with_number = len(tail) == 2 and is_count(tail[1])
    if number_first and starts_with_number:
        return head[1], int(head[0])
    if ends_with_number and not number_first:
        return tail[0], int(tail[1])
    raise UserError(f"{place}: expected '{form}', got {text!r}." + swapped(starts_with_number or ends_with_number))


def json_entries(file: Path, fields: dict[str, type]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) for each object of a json list; raises UserError if one lacks any of these fields."""
    entries = read_json(file)
    if not isinstance(entries, list):
        raise UserError(f"{file}: expected a list of entries, got {type(entries).__name__}")
    for number, entry in enumerate(entries, start=1):
        place = f"{file}: entry {number}"
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), kind) for name, kind in fields.items()):
            wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in fields.items())
            raise UserError(f"{place}: expected {wanted}, got {json.dumps(entry)[:200]}")
        yield place, entry


def is_count(text: str) -> bool:
    """Checks whether a text is a non-negative integer, in ASCII digits as in list files."""
    return text.isascii() and text.isdigit()


def swapped(look_swapped: bool) -> str:
    """Returns the end of an error message for two columns that look swapped, else ''."""
    return " The columns look swapped." if look_swapped else ""


def _some(names: list[str], limit: int = 6) -> str:
    more = f", ... ({len(names)} files)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
