"""Writes the lists of the Weizmann actions, split by person.

Expects <root>/<class>/<person>_<class>.avi. Writes train.txt, val.txt, test.txt and classes.txt. The last two persons
in alphabetical order form the test split, the one before them the val split, unless named. With --folds each person
in turn is the test split of <out>/fold_1, fold_2, ... and all others the train split, without val.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tbe.data.sources.records import write_list
from tbe.errors import MissingFile, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    parser.add_argument(
        "--out", type=Path, default=Path("data/lists/weizmann"), help="the folder to write the lists to (%(default)s)"
    )
    parser.add_argument("--val-persons", nargs="+", default=None, help="persons of the val split")
    parser.add_argument("--test-persons", nargs="+", default=None, help="persons of the test split")
    parser.add_argument("--folds", action="store_true", help="write lists with each person held out in turn")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    videos = sorted(video for video in args.root.glob("*/*_*") if video.suffix.lower() == ".avi")
    if not videos:
        raise MissingFile(f"{args.root}: expected videos <class>/<person>_<class>.avi, found none")
    persons = sorted({person_of(video) for video in videos})
    if args.folds:
        if args.test_persons or args.val_persons:
            raise UserError("expected --folds or named persons, got both: each fold has a test person of its own")
        for number, person in enumerate(persons, start=1):
            _write(args.out / f"fold_{number}", args.root, videos, {person: "test"}, ("train", "test"))
        return
    test = args.test_persons or persons[-2:]
    val = args.val_persons or [person for person in persons if person not in test][-1:]
    for named in (*test, *val):
        if named not in persons:
            raise UserError(f"{args.root}: expected persons among {', '.join(persons)}, got {named!r}")
    both = sorted(set(test) & set(val))
    if both:
        raise UserError(f"expected different persons for val and test, got {', '.join(both)} in both")
    held_out = {**dict.fromkeys(test, "test"), **dict.fromkeys(val, "val")}
    _write(args.out, args.root, videos, held_out, ("train", "val", "test"))


def _write(out: Path, root: Path, videos: list[Path], held_out: dict[str, str], splits: Sequence[str]) -> None:
    """Writes the lists of one split; persons that are not held out form the train split."""
    classes = sorted({video.parent.name for video in videos})
    rows: dict[str, list[tuple]] = {split: [] for split in splits}
    for video in videos:
        row = (video.relative_to(root).as_posix(), classes.index(video.parent.name))
        rows[held_out.get(person_of(video), "train")].append(row)
    for split, lines in rows.items():
        write_list(out / f"{split}.txt", lines)
    write_list(out / "classes.txt", [(name,) for name in classes])
    numbers = ", ".join(f"{len(lines)} {split}" for split, lines in rows.items())
    print(f"{out}: {numbers} videos, {len(classes)} classes")


def person_of(video: Path) -> str:
    """Returns the person that a file name begins with; some have a second take, as in lena_walk2.avi."""
    return video.stem.split("_")[0]
