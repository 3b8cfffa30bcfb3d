"""What the commands share: reading published files, with errors that name the place, and writing lists."""

from __future__ import annotations

import argparse
import csv
import json
import shlex
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from tbe.data.records import write_list

Row = tuple  # (path, label) or (path, label, num_frames)


def add_annotations(parser: argparse.ArgumentParser, what: str) -> None:
    """The option that names the folder of the published files."""
    parser.add_argument("--annotations", required=True, type=Path, metavar="FOLDER", help=f"the folder of {what}")


def add_out(parser: argparse.ArgumentParser, dataset: str) -> None:
    """The option that names the folder of the lists."""
    default = Path("data/lists") / dataset
    parser.add_argument("--out", type=Path, default=default, metavar="LISTS", help="where the lists go (%(default)s)")


def expect_files(folder: Path, names: list[str]) -> None:
    """Refuses a folder that lacks one of these files, saying which were expected and which are missing."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        there = "" if folder.is_dir() else " (no such folder)"
        raise FileNotFoundError(f"{folder}: expected {_some(names)}; missing: {_some(missing)}{there}")


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
        raise FileNotFoundError(
            f"{folder}: expected one of {_some([name for part in parts.values() for name in part])}"
        )
    return found


def numbered_lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not empty, stripped, each after its place 'file:number'; line ends of any kind."""
    for number, line in enumerate(_text(file).split("\n"), start=1):
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
    raise ValueError(f"{place}: expected '{form}', got {text!r}." + swapped(first or last))


def json_entries(file: Path, fields: dict[str, type]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a json list, each after its place; ValueError for an object that lacks one of these fields."""
    entries = read_json(file)
    if not isinstance(entries, list):
        raise ValueError(f"{file}: expected a list of entries, got {type(entries).__name__}")
    for number, entry in enumerate(entries, start=1):
        place = f"{file}: entry {number}"
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), kind) for name, kind in fields.items()):
            wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in fields.items())
            raise ValueError(f"{place}: expected {wanted}, got {json.dumps(entry)[:200]}")
        yield place, entry


def read_json(file: Path) -> Any:
    """What a json file holds; a ValueError names the line that is no json."""
    try:
        return json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}: expected json, got an error: {error.msg}") from error


def csv_rows(file: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a csv file that are not empty, fields stripped, each after its place 'file:number'."""
    rows = csv.reader(_text(file).split("\n"), delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield f"{file}:{rows.line_num}", [field.strip() for field in row]
    except csv.Error as error:
        raise ValueError(
            f"{file}:{rows.line_num}: expected fields parted by {delimiter!r}, got an error: {error}"
        ) from error


def is_count(text: str) -> bool:
    """Whether this is a whole number, as list files have them."""
    return text.isascii() and text.isdigit()


def swapped(look_so: bool) -> str:
    """The end of an error's message where two columns seem to have changed places."""
    return " The columns look swapped." if look_so else ""


def write_lists(
    dataset: str, out: Path, lists: dict[str, list[Row]], classes: list[str], official: dict[str, int] | None = None
) -> None:
    """Writes <name>.txt for each list and classes.txt, and prints how many videos each has.

    `official` are the published numbers, for comparison. Lists whose names have the same ending ('train_1', 'test_1')
    may not share a video; ValueError for that, an empty list, and a path that a list can't hold.
    """
    for name, rows in lists.items():
        if not rows:
            raise ValueError(f"{out / name}.txt: expected at least one video, got none")
    _check_apart(lists)
    lists = {name: [(_listable(row[0]), *row[1:]) for row in rows] for name, rows in lists.items()}
    for name, rows in lists.items():
        write_list(out / f"{name}.txt", rows)
        published = (official or {}).get(name, len(rows))
        remark = "" if published == len(rows) else f" (officially {published})"
        print(f"{out / name}.txt: {len(rows)} videos{remark}")
    write_list(out / "classes.txt", [(name,) for name in classes])
    print(f"{out / 'classes.txt'}: {len(classes)} classes")
    print(f"use them with: data={dataset} {shlex.quote(f'data.lists={out}')}")


def _check_apart(lists: dict[str, list[Row]]) -> None:
    for name, rows in lists.items():
        seen: set[str] = set()
        twice = [row[0] for row in rows if row[0] in seen or seen.add(row[0])]
        if twice:
            raise ValueError(f"{name}: expected each video once, got {twice[0]!r} again ({len(twice)} such videos)")
    for one, other in combinations(lists, 2):
        if one.partition("_")[2] == other.partition("_")[2]:
            both = sorted({row[0] for row in lists[one]} & {row[0] for row in lists[other]})
            if both:
                raise ValueError(f"{one} and {other}: expected no video in both, got {both[0]!r} ({len(both)} such)")


def _listable(path: str) -> str:
    """A path as a list can hold it: a line that starts with '#' would be taken for a comment."""
    is_text = not any("\ud800" <= character <= "\udfff" for character in path)  # how Python names undecodable bytes
    if path != path.strip() or "\n" in path or "\r" in path or not is_text:
        raise ValueError(
            f"expected a path in UTF-8, without line breaks or spaces at its ends, got {path!r}: rename it"
        )
    return f"./{path}" if path.startswith("#") else path


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected text in UTF-8, got {error.reason} at byte {error.start}") from error


def _some(names: list[str], most: int = 6) -> str:
    more = f", ... ({len(names)} files)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
