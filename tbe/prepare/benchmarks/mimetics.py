"""Writes the list of Mimetics, mimed actions of 50 classes of Kinetics-400, as a further split of it.

Expects mimetics_v1.0.csv, 713 rows with label, youtube_id, time_start, time_end and split, and the classes.txt of your
lists of Kinetics-400, which gives the labels. Writes mimetics.txt beside it, with the videos that exist below --root as
<class>/<youtube_id>_<start>_<end>.mp4 or without the class, times with six digits or without leading zeros:

  python eval.py task=test data=kinetics400 +data.splits.mimetics=mimetics.txt query=[test,mimetics]

The head still chooses among 400 classes. Weinzaepfel and Rogez, IJCV 2021 (arXiv:1912.07249).

Uncertain: the columns are those of the csv in the repository clovaai/rebias, whose loader names the videos with a class
and six digits; the authors' own download may name them differently.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.common import existing_videos, expect_files, numbered_lines
from tbe.prepare.common.further_splits import check_folder, write_split
from tbe.prepare.common.kinetics_csv import Clip, clips_of

NUM_OFFICIAL = 713
CLASSES = "classes.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--annotations", required=True, type=Path, metavar="CSV", help="mimetics_v1.0.csv")
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    help = f"your lists of Kinetics-400, with {CLASSES} (%(default)s)"
    parser.add_argument("--lists", type=Path, default=Path("data/lists/kinetics400"), metavar="LISTS", help=help)
    parser.add_argument("--suffix", default=".mp4", help="suffix of the video files (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the list and prints its number of videos."""
    expect_files(args.annotations.parent, [args.annotations.name])
    expect_files(args.lists, [CLASSES])
    check_folder(args.root, "the videos")
    classes = [name for _, name in numbered_lines(args.lists / CLASSES)]
    labels = {name: label for label, name in enumerate(classes)}
    clips = clips_of(args.annotations)
    if missing := sorted({clip.label for clip in clips} - labels.keys()):
        wanted = f"the classes of {args.annotations} among its {len(classes)}"
        raise UserError(f"{args.lists / CLASSES}: expected {wanted}; missing: {', '.join(missing)}")
    if len(clips) != NUM_OFFICIAL:
        print(f"{args.annotations}: {len(clips)} rows (officially {NUM_OFFICIAL})")
    rows = [(path_of(clip, args.root, args.suffix), labels[clip.label]) for clip in clips]
    rows = existing_videos({"mimetics": rows}, args.root)["mimetics"]
    print(f"{len({label for _, label in rows})} classes")
    write_split(args.lists / "mimetics.txt", rows, args.root)


def path_of(clip: Clip, root: Path, suffix: str) -> str:
    """Returns the first of a video's possible paths below root that exists, else the first one."""
    youtube_id, *times = clip.name.rsplit("_", 2)
    plain = "_".join([youtube_id, *(str(int(time)) for time in times)])
    names = [f"{folder}{name}{suffix}" for folder in (f"{clip.label}/", "") for name in (clip.name, plain)]
    return next((name for name in names if (root / name).is_file()), names[0])
