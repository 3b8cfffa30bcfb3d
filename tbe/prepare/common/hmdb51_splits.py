"""Reads the official testTrainMulti_7030_splits of HMDB51, which its variants share.

One file <class>_test_split<1 to 3>.txt per class and split, with lines '<video>.avi <id>': id 1 for train, 2 for test,
0 for neither. Paths are <class>/<video>.avi, labels follow the sorted names of the classes.
"""

from __future__ import annotations

import re
from pathlib import Path

from tbe.data.sources.text_files import numbered_lines
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.given_lists import GivenLists
from tbe.prepare.common.lists import Row
from tbe.prepare.common.published import expect_files, name_and_number

SPLITS = (1, 2, 3)
OFFICIAL = {f"{part}_{split}": num_videos for part, num_videos in (("train", 3570), ("test", 1530)) for split in SPLITS}
PARTS = {0: None, 1: "train", 2: "test"}
FILES = "<class>_test_split1.txt, ..."


def hmdb51_lists(folder: Path) -> GivenLists:
    """Reads the lists train_1, test_1, train_2, ... and the classes."""
    classes = class_names(folder)
    expect_files(folder, [f"{name}_test_split{split}.txt" for name in classes for split in SPLITS])
    lists: dict[str, list[Row]] = {}
    for split in SPLITS:
        for part in ("train", "test"):
            lists[f"{part}_{split}"] = []
        for label, name in enumerate(classes):
            for part, video in parts_of(folder / f"{name}_test_split{split}.txt"):
                lists[f"{part}_{split}"].append((f"{name}/{video}", label))
    return GivenLists(lists, classes)


def class_names(folder: Path) -> list[str]:
    """Returns the sorted classes that have a file; raises MissingFile if none has."""
    names = {match[1] for file in folder.glob("*.txt") if (match := re.fullmatch(r"(.+)_test_split\d\.txt", file.name))}
    if not names:
        raise MissingFile(f"{folder}: expected <class>_test_split<1 to 3>.txt, found none")
    return sorted(names)


def parts_of(file: Path) -> list[tuple[str, str]]:
    """Returns ('train' or 'test', name) of each video that is in one of them."""
    videos = []
    for place, text in numbered_lines(file):
        video, number = name_and_number(place, text, "<video> <id>")
        if number not in PARTS or "/" in video:
            raise UserError(f"{place}: expected '<video> <id>' with an id of 0, 1 or 2, got {text!r}")
        if part := PARTS[number]:
            videos.append((part, video))
    return videos
