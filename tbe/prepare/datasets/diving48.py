"""Writes the lists of Diving48 (V2) from its official json files.

Expects Diving48_V2_train.json and Diving48_V2_test.json, entries with vid_name, label, start_frame and end_frame, and
Diving48_vocab.json with the four attributes of each class. Writes train.txt, test.txt and classes.txt; paths are
<vid_name>.mp4. The third column is the published number of frames, end_frame - start_frame; `verify` counts them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.common import Row, add_annotations, add_out, expect_files, json_entries, read_json, write_lists

FILES = {"train": "Diving48_V2_train.json", "test": "Diving48_V2_test.json"}
VOCABULARY = "Diving48_vocab.json"
FIELDS = {"vid_name": str, "label": int, "start_frame": int, "end_frame": int}
OFFICIAL = {"train": 15027, "test": 1970}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_annotations(parser, ", ".join([*FILES.values(), VOCABULARY]))
    add_out(parser, "diving48")
    parser.add_argument("--suffix", default=".mp4", help="suffix of the video files (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    expect_files(args.annotations, [*FILES.values(), VOCABULARY])
    classes = read_classes(args.annotations / VOCABULARY)
    lists = {part: rows_of(args.annotations / name, len(classes), args.suffix) for part, name in FILES.items()}
    write_lists("diving48", args.out, lists, classes, OFFICIAL)


def read_classes(file: Path) -> list[str]:
    """Reads the name of each label: its attributes, as in 'Back 15som 05Twis FREE'."""
    vocabulary = read_json(file)
    if not isinstance(vocabulary, list) or not vocabulary:
        raise UserError(f"{file}: expected a list of classes, got {str(vocabulary)[:200]}")
    for number, attributes in enumerate(vocabulary, start=1):
        if not isinstance(attributes, list) or not all(isinstance(attribute, str) for attribute in attributes):
            raise UserError(f"{file}: entry {number}: expected a list of attributes, got {str(attributes)[:200]}")
    return [" ".join(attributes) for attributes in vocabulary]


def rows_of(file: Path, num_classes: int, suffix: str) -> list[Row]:
    """Reads the path, label and number of frames of each entry."""
    rows = []
    for place, entry in json_entries(file, FIELDS):
        num_frames = entry["end_frame"] - entry["start_frame"]
        if not 0 <= entry["label"] < num_classes:
            raise UserError(f"{place}: expected a label from 0 to {num_classes - 1}, got {entry['label']}")
        if entry["start_frame"] < 0 or num_frames <= 0:
            raise UserError(f"{place}: expected 0 <= start_frame < end_frame, got {entry}")
        rows.append((entry["vid_name"] + suffix, entry["label"], num_frames))
    return rows
