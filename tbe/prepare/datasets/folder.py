"""Writes the lists of any folder of videos.

Each sub-folder of the root is a class, with labels in the order of their sorted names; videos may be nested deeper. A
folder of videos without sub-folders is unlabelled: every label is 0. Writes train.txt, test.txt (--test-share of each
class, drawn by --seed) and classes.txt. Skips files and folders whose names start with a dot. Also skips, as training
does, files with other suffixes and videos that links lead out of the root, and prints their number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tbe.data.sources.records import hold_out
from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common import Row, add_out, write_lists
from tbe.prepare.common.video_folder import SUFFIXES, labeled_videos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    add_out(parser, "folder")
    help = f"suffixes of videos, in any letter case, in place of {' '.join(SUFFIXES)}"
    parser.add_argument("--suffixes", nargs="+", default=SUFFIXES, help=help)
    help = "share of each class that goes to test.txt; 0 writes no test.txt (%(default)s)"
    parser.add_argument("--test-share", type=float, default=0.2, help=help)
    help = "include videos that links lead out of --root; training then needs data.allow_outside_root=true"
    parser.add_argument("--allow-outside-root", action="store_true", help=help)
    parser.add_argument("--seed", type=int, default=0, help="draws the videos of test.txt (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    if not 0 <= args.test_share < 1:
        raise UserError(f"--test-share: expected 0 to less than 1, got {args.test_share}")
    if not args.test_share and (args.out / "test.txt").exists():
        raise UserError(f"{args.out}: expected no test.txt, as train.txt gets all videos; remove it or change --out")
    rows, classes = labeled_videos(args.root, args.suffixes, args.allow_outside_root)
    labels = [label for _, label in rows]
    held = hold_out(np.array(labels), args.test_share, args.seed) if args.test_share else np.zeros(len(rows), bool)
    lists: dict[str, list[Row]] = {"train": [], "test": []}
    for row, is_held in zip(rows, held, strict=True):
        lists["test" if is_held else "train"].append(row)
    write_lists("folder", args.out, {name: rows for name, rows in lists.items() if rows}, classes)
    only_train = "" if lists["test"] else " '~data.splits.test'"
    outside = " data.allow_outside_root=true" if args.allow_outside_root else ""
    print(f"and: {override('data.root', args.root)}{only_train}{outside}")
