"""Reading the files that data sets are published with; errors name the place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tbe.data.sources.text_files import read_json, text_of
from tbe.errors import MissingFile, UserError


def expect_files(folder: Path, names: list[str]) -> None:
    """Refuses a folder that lacks one of these files, saying which were expected and which are missing."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        there = "" if folder.is_dir() else " (no such folder)"
        raise MissingFile(f"{folder}: expected {_some(names)}; missing: {_some(missing)}{there}")


def existing_parts(folder: Path, parts: dict[str, list[str]]) -> dict[str, Path]:
    """For each part of a data set the first of its possible files that exists; says which part has none.

    FileNotFoundError when no part has one.
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


def numbered_lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not empty, stripped, each after its place 'file:number'; line ends of any kind."""
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if line.strip():
            yield f"{file}:{number}", line.strip()


def name_and_number(place: str, text: str, form: str, number_first: bool = False) -> tuple[str, int]:
    """The two columns of a line, of which the name may hold spaces; ValueError also when they are swapped."""
    ahead, behind = text.split(None, 1), text.rsplit(None, 1)
    first = len(ahead) == 2 and is_count(ahead[0])
    last = len(behind) == 2 and is_count(behind[1])
    if number_first and first:
        return ahead[1], int(ahead[0])
    if last and not number_first:
        return behind[0], int(behind[1])
    raise UserError(f"{place}: expected '{form}', got {text!r}." + swapped(first or last))


def json_entries(file: Path, fields: dict[str, type]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a json list, each after its place; ValueError for an object that lacks one of these fields."""
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
    """Whether this is a whole number, as list files have them."""
    return text.isascii() and text.isdigit()


def swapped(look_so: bool) -> str:
    """The end of an error's message where two columns seem to have changed places."""
    return " The columns look swapped." if look_so else ""


def _some(names: list[str], most: int = 6) -> str:
    more = f", ... ({len(names)} files)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
