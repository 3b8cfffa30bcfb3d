"""Lists of any folder of videos.

Each sub-folder of the root is a class and labels follow their sorted names; videos may lie deeper inside. A folder of
videos without sub-folders is unlabelled: every label is 0. Writes train.txt, test.txt (--test-share of each class,
chosen by --seed) and classes.txt. Files and folders whose names start with a dot are passed over.
"""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

import numpy as np

from tbe.data.records import hold_out
from tbe.prepare.base import Row, add_out, write_lists

SUFFIXES = [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    add_out(parser, "folder")
    help = f"files that are videos, in any case ({' '.join(SUFFIXES)})"
    parser.add_argument("--suffixes", nargs="+", default=SUFFIXES, help=help)
    help = "of each class that goes to test.txt; 0 writes no test.txt (%(default)s)"
    parser.add_argument("--test-share", type=float, default=0.2, help=help)
    parser.add_argument("--seed", type=int, default=0, help="which videos go to test.txt (%(default)s)")


def run(chosen: argparse.Namespace) -> None:
    """Writes the lists and prints how many videos each has."""
    if not 0 <= chosen.test_share < 1:
        raise ValueError(f"--test-share: expected 0 to less than 1, got {chosen.test_share}")
    if not chosen.test_share and (chosen.out / "test.txt").exists():
        raise ValueError(f"{chosen.out}: expected no test.txt, as train.txt gets all videos; remove it or change --out")
    if not chosen.root.is_dir():
        raise FileNotFoundError(f"{chosen.root}: expected the folder of the videos, got no such folder")
    paths = videos_below(chosen.root, chosen.suffixes)
    if not paths:
        raise FileNotFoundError(f"{chosen.root}: expected files with {', '.join(chosen.suffixes)}, found none")
    classes = class_names(chosen.root, paths)
    labels = [classes.index(path.partition("/")[0]) if "/" in path else 0 for path in paths]
    held = (
        hold_out(np.array(labels), chosen.test_share, chosen.seed) if chosen.test_share else np.zeros(len(paths), bool)
    )
    lists: dict[str, list[Row]] = {"train": [], "test": []}
    for path, label, is_held in zip(paths, labels, held, strict=True):
        lists["test" if is_held else "train"].append((path, label))
    write_lists("folder", chosen.out, {name: rows for name, rows in lists.items() if rows}, classes)
    only_train = "" if lists["test"] else " '~data.splits.test'"
    print(f"and: {shlex.quote(f'data.root={chosen.root}')} data.num_classes={len(classes)}{only_train}")


def videos_below(root: Path, suffixes: list[str]) -> list[str]:
    """The sorted paths of the videos, relative to root, through links too."""
    wanted = tuple(suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes)
    paths: list[str] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above itself would never end
            folders.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root)
        names = [name for name in files if name.lower().endswith(wanted) and not name.startswith(".")]
        paths.extend((relative / name).as_posix() for name in names)
    return sorted(paths)


def class_names(root: Path, paths: list[str]) -> list[str]:
    """The sorted sub-folders that hold videos; one class named like root where all videos lie in root itself."""
    loose = [path for path in paths if "/" not in path]
    if len(loose) == len(paths):
        print(f"{root}: no sub-folders with videos, so no classes: every label is 0")
        return [root.resolve().name]
    if loose:
        raise ValueError(
            f"{root}: expected all videos in class sub-folders, or none, got {len(loose)} of {len(paths)} beside them, "
            f"such as {loose[0]!r}"
        )
    return sorted({path.partition("/")[0] for path in paths})
