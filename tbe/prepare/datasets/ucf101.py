"""Writes the lists of UCF101 from the official ucfTrainTestlist folder.

Expects classInd.txt with lines '1 ApplyEyeMakeup', trainlist01.txt to 03 with '<class>/<video>.avi 1' and
testlist01.txt to 03 with '<class>/<video>.avi'. Writes train_1.txt to 3, test_1.txt to 3 and classes.txt; labels start
at 0, in the order of classInd.txt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.common import (
    Row,
    add_annotations,
    add_out,
    expect_files,
    is_count,
    name_and_number,
    numbered_lines,
    swapped,
    write_lists,
)

SPLITS = (1, 2, 3)
OFFICIAL = {"train_1": 9537, "train_2": 9586, "train_3": 9624, "test_1": 3783, "test_2": 3734, "test_3": 3696}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_annotations(parser, "classInd.txt, trainlist01.txt, testlist01.txt, ...")
    add_out(parser, "ucf101")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    folder = args.annotations
    names = [f"{part}list0{split}.txt" for split in SPLITS for part in ("train", "test")]
    expect_files(folder, ["classInd.txt", *names])
    labels = read_classes(folder / "classInd.txt")
    lists: dict[str, list[Row]] = {}
    for split in SPLITS:
        lists[f"train_{split}"] = train_rows(folder / f"trainlist0{split}.txt", labels)
        lists[f"test_{split}"] = test_rows(folder / f"testlist0{split}.txt", labels)
    write_lists("ucf101", args.out, lists, list(labels), OFFICIAL)


def read_classes(file: Path) -> dict[str, int]:
    """Reads class name -> label from 0, from lines '<number from 1> <class>' in the order of their numbers."""
    labels: dict[str, int] = {}
    for place, text in numbered_lines(file):
        name, number = name_and_number(place, text, "<number> <class>", number_first=True)
        if number != len(labels) + 1 or name in labels:
            raise UserError(f"{place}: expected a new class with the number {len(labels) + 1}, got {text!r}")
        labels[name] = number - 1
    return labels


def train_rows(file: Path, labels: dict[str, int]) -> list[Row]:
    """Reads the path and label of each '<class>/<video> <number from 1>'; the number must be that of the class."""
    rows = []
    for place, text in numbered_lines(file):
        path, number = name_and_number(place, text, "<class>/<video> <number>")
        label = _label(place, path, labels)
        if number != label + 1:
            raise UserError(f"{place}: expected {label + 1}, the number of its class in classInd.txt, got {text!r}")
        rows.append((path, label))
    return rows


def test_rows(file: Path, labels: dict[str, int]) -> list[Row]:
    """Reads the path and label of each '<class>/<video>'."""
    rows = []
    for place, path in numbered_lines(file):
        if is_count(path.rsplit(None, 1)[-1]):
            raise UserError(f"{place}: expected '<class>/<video>' without a number, got {path!r}")
        rows.append((path, _label(place, path, labels)))
    return rows


def _label(place: str, path: str, labels: dict[str, int]) -> int:
    folder, slash, video = path.partition("/")
    if not slash or not video or folder not in labels:
        hint = swapped(is_count(path.split()[0]))
        raise UserError(f"{place}: expected '<class>/<video>' with a class of classInd.txt, got {path!r}.{hint}")
    return labels[folder]
