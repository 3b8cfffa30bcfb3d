"""The command: writes a video of the actor for each video of the lists."""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import MissingFile, UserError
from tbe.prepare.common import add_annotations
from tbe.prepare.common.hmdb51_splits import FILES, hmdb51_lists
from tbe.prepare.common.making import make_of_each, mp4_name
from tbe.prepare.common.parts import add_part_options
from tbe.prepare.common.work import add_work_options
from tbe.prepare.datasets.actor_hmdb51.cropping import CROPS, Cropping
from tbe.prepare.datasets.actor_hmdb51.masking import Masking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos of HMDB51")
    add_annotations(parser, FILES)
    actors = parser.add_mutually_exclusive_group(required=True)
    actors.add_argument("--boxes", type=Path, metavar="FOLDER", help="the folder of the boxes")
    actors.add_argument("--masks", type=Path, metavar="FOLDER", help="the folder of the masks")
    parser.add_argument("--out", required=True, type=Path, help="the folder of the new videos, and of the lists")
    parser.add_argument("--crop", default="union", choices=CROPS, help="how frames are cropped (%(default)s)")
    help = "margin on each side of a box, as a share of its size (%(default)s)"
    parser.add_argument("--margin", type=float, default=0.1, metavar="SHARE", help=help)
    help = "frames over which the position of a box is averaged, for --crop follow (%(default)s)"
    parser.add_argument("--smooth", type=int, default=15, metavar="FRAMES", help=help)
    parser.add_argument(
        "--gray", "--grey", type=int, default=128, help="level of masked pixels, 0 to 255 (%(default)s)"
    )
    parser.add_argument("--crf", type=int, default=18, help="quality of x264, 0 to 51, less is better (%(default)s)")
    add_work_options(parser, timeout=300.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the videos, writes the lists and exits 1 if any video failed."""
    if args.margin < 0 or args.smooth < 1 or not 0 <= args.gray <= 255 or not 0 <= args.crf <= 51:
        got = f"{args.margin}, {args.smooth}, {args.gray} and {args.crf}"
        raise UserError(f"expected margin >= 0, smooth >= 1, gray 0 to 255 and crf 0 to 51, got {got}")
    actors = args.boxes or args.masks
    for folder, what in ((args.root, "videos"), (actors, "boxes" if args.boxes else "masks")):
        if not folder.is_dir():
            raise MissingFile(f"{folder}: expected the folder of the {what}, got no such folder")
    making: Cropping | Masking
    if args.boxes:
        making = Cropping(args.root, args.out, actors, args.crop, args.margin, args.smooth, args.crf)
    else:
        making = Masking(args.root, args.out, actors, args.gray, args.crf)
    given = hmdb51_lists(args.annotations)
    make_of_each("actor_hmdb51", given, making, mp4_name, making.settings, args)
