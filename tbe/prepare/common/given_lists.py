"""Reads the lists that a command is given, and writes them again for the videos it made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tbe.data.sources.list_tables import is_table
from tbe.data.sources.records import Records, names_of, read_list, texts_of, write_list, write_rows
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import numbered_lines
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.lists import Row
from tbe.prepare.common.path_column import PathColumn, distinct
from tbe.prepare.common.video_folder import SUFFIXES, labeled_videos

CLASSES = "classes"  # the name of the list of class names


# Yields for each path the new one and the number of frames of what was made of it, None where nothing was.
Made = Callable[[Iterable[str]], Iterator[tuple[str, int] | None]]


class ListRows(Sequence[Row]):
    """The rows (path, label) of a list, as the columns that were read."""

    def __init__(self, records: Records):
        self.paths, self.labels = records.paths, records.labels

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Row]:
        return zip(map(os.fsdecode, self.paths), map(int, self.labels), strict=True)

    def __getitem__(self, position: Any) -> Any:
        """Returns the row at a position."""
        return os.fsdecode(self.paths[position]), int(self.labels[position])


class GivenLists(NamedTuple):
    """The rows of each list by its name without suffix, and the class names, empty if unknown.

    tables: the files and records of the lists that are tables, CSV or Parquet, which are written as such again.
    """

    rows: Mapping[str, Sequence[Row]]
    classes: list[str]
    tables: Mapping[str, tuple[Path, Records]] = MappingProxyType({})

    def file(self, name: str, out: Path) -> Path:
        """Returns the file of the list that is written again below a folder."""
        return out / f"{name}{self.tables[name][0].suffix if name in self.tables else '.txt'}"

    def paths(self) -> PathColumn:
        """Returns each video of any list once."""
        return distinct([_paths_of(rows) for rows in self.rows.values()])


def add_lists(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the videos."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    help = "list files, optionally with classes.txt; by default all videos below root, by sub-folder, as all.txt"
    parser.add_argument("--list", nargs="+", default=[], type=Path, metavar="FILE", help=help)


def given_lists(root: Path, files: list[Path]) -> GivenLists:
    """Reads the list files, or finds all videos below root; raises MissingFile or UserError if there are none."""
    if not root.is_dir():
        raise MissingFile(f"{root}: expected the folder of the videos, got no such folder")
    if not files:
        rows, classes = labeled_videos(root, SUFFIXES, may_leave=True)  # the results go to another folder
        return GivenLists({"all": rows}, classes)
    lists: dict[str, Sequence[Row]] = {}
    tables: dict[str, tuple[Path, Records]] = {}
    classes = []
    for file in files:
        if not file.is_file():
            raise MissingFile(f"{file}: expected a list, got no such file")
        if file.stem in lists:
            raise UserError(f"{file}: expected lists of different names, got {file.stem} twice")
        if file.stem == CLASSES:
            classes = [name for _, name in numbered_lines(file)]
        else:
            records = read_list(file, root)
            lists[file.stem] = ListRows(records)
            if is_table(file):
                tables[file.stem] = file, records
    if not lists:
        raise UserError(f"{files[0]}: expected a list of videos, got only {CLASSES}.txt")
    return GivenLists(lists, classes, tables)


def write_again(given: GivenLists, out: Path, made: Made) -> None:
    """Writes each list with the videos that were made, under their new names with their numbers of frames.

    Tables keep their format and their scenes and groups; others are <name>.txt.
    """
    for name, rows in given.rows.items():
        file, paths = given.file(name, out), PathColumn([_paths_of(rows)])
        num_made = 0
        if any(one is not None for one in made(paths)):
            num_made = _write_one(file, rows, given.tables.get(name), partial(made, paths))
        left_out = f", {len(rows) - num_made} left out" if num_made < len(rows) else ""
        print(f"{file}: {num_made} videos{left_out}" if num_made else f"{file}: not written, as no video is left")
    if given.classes:
        write_list(out / f"{CLASSES}.txt", [(name,) for name in given.classes])


def _write_one(
    file: Path,
    rows: Sequence[Row],
    table: tuple[Path, Records] | None,
    made: Callable[[], Iterator[tuple[str, int] | None]],
) -> int:
    """Writes one list, and returns how many videos it has; made: gives what was made of each of its rows."""
    names = names_of(table[1]) if table else {}
    has_frames = table is None or any(one[1] for one in made() if one is not None)
    num_made = 0

    def new_rows() -> Iterator[tuple]:
        nonlocal num_made
        num_made = 0
        for one, row, *texts in zip(made(), rows, *map(texts_of, names.values()), strict=True):
            if one is not None:
                num_made += 1
                yield (one[0], row[1], *(one[1:] if has_frames else ()), *texts)

    write_rows(file, ["path", "label", *(["num_frames"] if has_frames else []), *names], new_rows)
    return num_made


def _paths_of(rows: Sequence[Row]) -> TextColumn:
    return rows.paths if isinstance(rows, ListRows) else TextColumn.of(os.fsencode(row[0]) for row in rows)
