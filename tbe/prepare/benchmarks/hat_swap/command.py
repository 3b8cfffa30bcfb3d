"""The command: writes a video for each pair whose action is in the list, then the lists."""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import UserError
from tbe.prepare.benchmarks.hat_swap.pairs import read_pairs
from tbe.prepare.common import expect_files
from tbe.prepare.common.further_splits import check_folder, own_labels
from tbe.prepare.common.given_lists import GivenLists
from tbe.prepare.common.making import make_of_each
from tbe.prepare.common.parts import add_part_options
from tbe.prepare.common.work import add_work_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of ori, inp and seg")
    help = "a list of pairs, such as actionswap_far_1.pickle"
    parser.add_argument("--pairs", required=True, type=Path, metavar="PICKLE", help=help)
    help = "the data set's own list of these videos, such as data/lists/kinetics400/val.txt"
    parser.add_argument("--list", required=True, type=Path, metavar="FILE", help=help)
    parser.add_argument("--out", required=True, type=Path, help="the folder of the new videos, and of the lists")
    parser.add_argument("--crf", type=int, default=18, help="quality of x264, 0 to 51, less is better (%(default)s)")
    add_work_options(parser, timeout=600.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the videos, writes the lists and exits 1 if any video failed."""
    from tbe.prepare.benchmarks.hat_swap.swapping import Swapping  # slow to import

    if not 0 <= args.crf <= 51:
        raise UserError(f"--crf: expected 0 to 51, got {args.crf}")
    check_folder(args.root, "ori, inp and seg")
    expect_files(args.pairs.parent, [args.pairs.name])
    labels = own_labels(args.list)
    pairs = {action: scene for action, scene in read_pairs(args.pairs).items() if action in labels}
    if not pairs:
        raise UserError(f"{args.pairs}: expected actions that {args.list} has, got none")
    given = GivenLists(lists_of(pairs, labels, "hat_" + args.pairs.stem.removeprefix("actionswap_")), [])
    making = Swapping(args.root, args.out, args.pairs.stem, pairs, args.crf)
    make_of_each("hat_swap", given, making, "{}.mp4".format, making.settings, args, further=True)


def lists_of(pairs: dict[str, str], labels: dict[str, int], name: str) -> dict[str, list[tuple]]:
    """Returns the actions with their own labels, and with those of their backgrounds; labels: by video."""
    of_class = {video.partition("/")[0]: label for video, label in labels.items()}
    unknown = sorted({scene.partition("/")[0] for scene in pairs.values()} - of_class.keys())
    if unknown:
        raise UserError(f"expected backgrounds of the classes of --list, got {', '.join(map(repr, unknown))}")
    return {
        name: [(action, labels[action]) for action in pairs],
        f"{name}_background": [(action, of_class[scene.partition("/")[0]]) for action, scene in pairs.items()],
    }
