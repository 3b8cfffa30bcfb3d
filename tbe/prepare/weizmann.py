"""Lists of the Weizmann actions, split by person.

Expects <root>/<class>/<person>_<class>.avi. Writes train.txt, val.txt, test.txt and classes.txt. The last two persons
in alphabetical order are the test split, the one before them is the val split, unless named.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from tbe.data.records import write_list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    parser.add_argument(
        "--out", type=Path, default=Path("data/lists/weizmann"), help="where the lists go (%(default)s)"
    )
    parser.add_argument("--val-persons", nargs="+", default=None, help="persons of the val split")
    parser.add_argument("--test-persons", nargs="+", default=None, help="persons of the test split")


def run(chosen: argparse.Namespace) -> None:
    """Writes the lists and prints how many videos each has."""
    videos = sorted(chosen.root.glob("*/*_*.avi"))
    if not videos:
        raise FileNotFoundError(f"{chosen.root}: expected videos <class>/<person>_<class>.avi, found none")
    persons = sorted({person_of(video) for video in videos})
    test = chosen.test_persons or persons[-2:]
    val = chosen.val_persons or [person for person in persons if person not in test][-1:]
    for named in (*test, *val):
        if named not in persons:
            raise ValueError(f"{chosen.root}: expected persons among {', '.join(persons)}, got {named!r}")
    both = sorted(set(test) & set(val))
    if both:
        raise ValueError(f"expected different persons for val and test, got {', '.join(both)} in both")
    classes = sorted({video.parent.name for video in videos})
    splits = {person: "test" if person in test else "val" if person in val else "train" for person in persons}
    rows: dict[str, list[tuple]] = {"train": [], "val": [], "test": []}
    for video in videos:
        row = (video.relative_to(chosen.root).as_posix(), classes.index(video.parent.name))
        rows[splits[person_of(video)]].append(row)
    for split, lines in rows.items():
        write_list(chosen.out / f"{split}.txt", lines)
    write_list(chosen.out / "classes.txt", [(name,) for name in classes])
    counts = Counter({split: len(lines) for split, lines in rows.items()})
    numbers = ", ".join(f"{counts[split]} {split}" for split in rows)
    print(f"{chosen.out}: {numbers} videos, {len(classes)} classes")


def person_of(video: Path) -> str:
    """The person that a file's name begins with; some have a second take, as in lena_walk2.avi."""
    return video.stem.split("_")[0]
