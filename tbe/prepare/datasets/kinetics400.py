"""Writes the lists of Kinetics-400 from its official csv files.

Expects csv files whose header has label, youtube_id, time_start, time_end and split. Writes <split>.txt for each split
in them and classes.txt; paths are <class>/<youtube_id>_<start>_<end>.mp4, times with six digits. Copies of Kinetics
differ: with --root only existing videos are listed. Labels follow the label map, or else the sorted class names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.common import Row, add_out, existing_videos, expect_files, numbered_lines, write_lists
from tbe.prepare.common.kinetics_csv import Clip, clips_of

OFFICIAL = {"train": 246535, "val": 19906}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    help = "one or more csv files, such as train.csv val.csv"
    parser.add_argument("--annotations", required=True, nargs="+", type=Path, metavar="CSV", help=help)
    add_out(parser, "kinetics400")
    parser.add_argument("--root", type=Path, help="the folder of the videos: lists only those that exist below it")
    parser.add_argument("--label-map", type=Path, metavar="TXT", help="one class per line, ordered by label")
    parser.add_argument("--flat", action="store_true", help="all videos are in one folder, not in one per class")
    parser.add_argument("--suffix", default=".mp4", help="suffix of the video files (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    for file in [*args.annotations, *([args.label_map] if args.label_map else [])]:
        expect_files(file.parent, [file.name])
    clips = [clip for file in args.annotations for clip in clips_of(file)]
    labels = read_label_map(args.label_map) if args.label_map else sorted_labels(clips)
    lists: dict[str, dict[Row, None]] = {}  # repeated rows count once
    for clip in clips:
        if clip.label not in labels:
            raise UserError(f"{clip.place}: expected a class of {args.label_map}, got {clip.label!r}")
        path = clip.name + args.suffix if args.flat else f"{clip.label}/{clip.name}{args.suffix}"
        lists.setdefault(clip.split, {})[path, labels[clip.label]] = None
    rows = {split: list(videos) for split, videos in lists.items()}
    num_repeated = len(clips) - sum(len(videos) for videos in rows.values())
    if num_repeated:
        print(f"{num_repeated} rows are repeated and count once")
    if args.root:
        rows = existing_videos(rows, args.root, hint="See --flat and --suffix.")
    write_lists("kinetics400", args.out, rows, list(labels), OFFICIAL)


def read_label_map(file: Path) -> dict[str, int]:
    """Reads class name -> label, its line counted from 0."""
    labels: dict[str, int] = {}
    for place, name in numbered_lines(file):
        if name in labels:
            raise UserError(f"{place}: expected each class once, got {name!r} again")
        labels[name] = len(labels)
    return labels


def sorted_labels(clips: list[Clip]) -> dict[str, int]:
    """Returns class name -> label, its position among the sorted names."""
    return {name: label for label, name in enumerate(sorted({clip.label for clip in clips}))}
