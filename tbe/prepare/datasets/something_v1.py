"""Writes the lists of Something-Something V1 from its official csv files.

Expects something-something-v1-labels.csv with one class per line, and -train.csv and -validation.csv with lines
'<id>;<class>', no header. Writes train.txt and val.txt for those that exist, and classes.txt; labels follow the lines
of the labels' file. Paths are the folders of frames, <id>: read them with reader=frames reader.template=%05d.jpg.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.common import (
    Row,
    add_annotations,
    add_out,
    csv_rows,
    existing_parts,
    expect_files,
    is_count,
    swapped,
    write_lists,
)

LABELS = "something-something-v1-labels.csv"
PARTS = {"train": ["something-something-v1-train.csv"], "val": ["something-something-v1-validation.csv"]}
OFFICIAL = {"train": 86017, "val": 11522}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_annotations(parser, LABELS + ", something-something-v1-train.csv, something-something-v1-validation.csv")
    add_out(parser, "something_v1")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    expect_files(args.annotations, [LABELS])
    labels = read_labels(args.annotations / LABELS)
    lists = {part: rows_of(file, labels) for part, file in existing_parts(args.annotations, PARTS).items()}
    write_lists("something_v1", args.out, lists, list(labels), OFFICIAL)


def read_labels(file: Path) -> dict[str, int]:
    """Reads class name -> label, its line counted from 0."""
    labels: dict[str, int] = {}
    for place, fields in csv_rows(file, ";"):
        if len(fields) != 1 or not fields[0] or fields[0] in labels:
            raise UserError(f"{place}: expected one new class per line, got {';'.join(fields)!r}")
        labels[fields[0]] = len(labels)
    return labels


def rows_of(file: Path, labels: dict[str, int]) -> list[Row]:
    """Reads the path and label of each '<id>;<class>'."""
    rows = []
    for place, fields in csv_rows(file, ";"):
        if len(fields) != 2 or not is_count(fields[0]):
            hint = swapped(len(fields) == 2 and is_count(fields[1]))
            raise UserError(f"{place}: expected '<id>;<class>', got {';'.join(fields)!r}.{hint}")
        if fields[1] not in labels:
            raise UserError(f"{place}: expected a class of {LABELS}, got {fields[1]!r}")
        rows.append((fields[0], labels[fields[1]]))
    return rows
