"""Writes the lists of UT-Interaction: its actions, and the scenes where they were filmed.

Expects <root>/<action>/<scene>_<sequence>_<id>.avi, such as kick/parking_lot_07_038.avi. Writes videos.txt with all
videos, classes.txt, and both again with scenes in place of actions below scenes/. There is no official split of the
two scenes into training and test videos: task=scene_swap trains on one scene of each action and asks on the other.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tbe.data.sources.records import write_list
from tbe.errors import MissingFile, UserError
from tbe.launch.quoting import override
from tbe.prepare.common.lists import add_out, listable

FORM = "<action>/<scene>_<sequence>_<id>.avi"
NAME = re.compile(r"(?P<scene>.+)_\d+_\d+\.avi", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    add_out(parser, "ut_interaction")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each action and scene."""
    videos = sorted(path.relative_to(args.root).as_posix() for path in args.root.glob("*/*.[aA][vV][iI]"))
    if not videos:
        raise MissingFile(f"{args.root}: expected videos {FORM}, found none")
    scene_of = {video: scene_in(video) for video in videos}
    action_of = {video: video.partition("/")[0] for video in videos}
    for folder, names in ((args.out, action_of), (args.out / "scenes", scene_of)):
        classes = sorted(set(names.values()))
        write_list(folder / "videos.txt", [(listable(video), classes.index(names[video])) for video in videos])
        write_list(folder / "classes.txt", [(name,) for name in classes])
        counts = ", ".join(f"{list(names.values()).count(name)} {name}" for name in classes)
        print(f"{folder / 'videos.txt'}: {len(videos)} videos: {counts}")
    print(f"use them with: data=ut_interaction {override('data.root', args.root)} {override('data.lists', args.out)}")


def scene_in(video: str) -> str:
    """Returns the scene that the name of a video begins with; raises UserError for a name of another form."""
    found = NAME.fullmatch(video.rpartition("/")[2])
    if not found:
        raise UserError(f"expected videos {FORM}, got {video}")
    return found["scene"]
