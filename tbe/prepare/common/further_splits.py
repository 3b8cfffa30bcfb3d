"""Writes further splits of a data set: other versions of its test videos, or other videos of its classes."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path, PurePosixPath

from tbe.data.sources.records import read_list, write_list
from tbe.errors import MissingFile, UserError
from tbe.launch.quoting import override
from tbe.prepare.common.lists import Row, check_disjoint, listable


def add_list(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a command whose videos were made from those of a list."""
    help = "the data set's own list of the original videos, such as data/lists/ucf101/test_1.txt"
    parser.add_argument("--list", required=True, type=Path, metavar="FILE", help=help)
    help = "the folder to write the lists to (the folder of --list)"
    parser.add_argument("--out", type=Path, metavar="LISTS", help=help)


def own_labels(file: Path) -> dict[str, int]:
    """Returns the label of each video of a list, by its path without suffix; raises MissingFile if there is no list."""
    if not file.is_file():
        raise MissingFile(f"{file}: expected a list, got no such file")
    records = read_list(file, "")
    names = [PurePosixPath(os.fsdecode(path)).with_suffix("").as_posix() for path in records.paths]
    return dict(zip(names, records.labels.tolist(), strict=True))


def check_folder(folder: Path, what: str) -> None:
    """Raises MissingFile if the folder of `what` does not exist."""
    if not folder.is_dir():
        raise MissingFile(f"{folder}: expected the folder of {what}, got no such folder")


def write_split(file: Path, rows: list[Row], root: Path, use: str = "") -> None:
    """Writes the list of a split, with full paths since its root is another one, and prints how to use it.

    rows: (path below root, label). use: further options. Raises UserError for a repeated video, or an invalid name of
    a split.
    """
    name = file.stem
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise UserError(f"{file}: expected a name of letters, digits and '_' that starts with a letter, got {name!r}")
    check_disjoint({name: rows})
    write_list(file, [(listable(str(root.resolve() / path)), label) for path, label in rows])
    print(f"{file}: {len(rows)} videos")
    print_use(file, use)


def print_use(file: Path, use: str = "") -> None:
    """Prints how to use a split in an evaluation; its full paths are outside the data set's root."""
    split, query = override(f"+data.splits.{file.stem}", file.resolve()), shlex.quote(f"query=[test,{file.stem}]")
    print(f"use it with: {split} ++data.allow_outside_root=true {query} {use}".rstrip())
