"""Reads the lists that a command is given, and writes them again for the videos it made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tbe.data.sources.list_tables import is_table
from tbe.data.sources.records import Records, make_records, read_list, write_list, write_records
from tbe.data.sources.text_files import numbered_lines
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.lists import Row
from tbe.prepare.common.video_folder import SUFFIXES, labeled_videos

CLASSES = "classes"  # the name of the list of class names


class GivenLists(NamedTuple):
    """The rows of each list by its name without suffix, and the class names, empty if unknown.

    tables: the files and records of the lists that are tables, CSV or Parquet, which are written as such again.
    """

    rows: dict[str, list[Row]]
    classes: list[str]
    tables: Mapping[str, tuple[Path, Records]] = MappingProxyType({})

    def file(self, name: str, out: Path) -> Path:
        """Returns the file of the list that is written again below a folder."""
        return out / f"{name}{self.tables[name][0].suffix if name in self.tables else '.txt'}"

    def paths(self) -> list[str]:
        """Returns each video of any list once."""
        return list(dict.fromkeys(row[0] for rows in self.rows.values() for row in rows))


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
    lists: dict[str, list[Row]] = {}
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
            paths = [os.fsdecode(path) for path in records.paths]
            lists[file.stem] = list(zip(paths, records.labels.tolist(), strict=True))
            if is_table(file):
                tables[file.stem] = file, records
    if not lists:
        raise UserError(f"{files[0]}: expected a list of videos, got only {CLASSES}.txt")
    return GivenLists(lists, classes, tables)


def write_again(given: GivenLists, out: Path, made: dict[str, tuple[str, int]]) -> None:
    """Writes each list with the videos in `made`: original path -> new path and number of frames.

    Tables keep their format and their scenes and groups; others are <name>.txt.
    """
    for name, rows in given.rows.items():
        new = [(made[path][0], label, made[path][1]) for path, label, *_ in rows if path in made]
        file = given.file(name, out)
        if new and name in given.tables:
            kept = given.tables[name][1].select(np.flatnonzero([path in made for path, *_ in rows]))
            again = make_records("", *zip(*new, strict=True))
            write_records(file, replace(again, scenes=kept.scenes, groups=kept.groups))
        elif new:
            write_list(file, new)
        left_out = f", {len(rows) - len(new)} left out" if len(new) < len(rows) else ""
        print(f"{file}: {len(new)} videos{left_out}" if new else f"{file}: not written, as no video is left")
    if given.classes:
        write_list(out / f"{CLASSES}.txt", [(name,) for name in given.classes])
