"""The command: plans the actor and place of each video, makes the videos, then writes the lists."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tbe.data.biased_scenes.writing import write_whole
from tbe.data.sources.groups import groups_of
from tbe.data.sources.records import write_list
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.given_lists import CLASSES, GivenLists, add_lists, given_lists
from tbe.prepare.common.groups import test_groups
from tbe.prepare.common.inputs import with_inputs
from tbe.prepare.common.making import make_of_each, mp4_name, opened_report, remove_parts, unique_targets
from tbe.prepare.common.mattes import with_mattes
from tbe.prepare.common.parts import PartDone, add_part_options, is_joining, unique
from tbe.prepare.common.work import add_work_options
from tbe.prepare.datasets.composite.backgrounds import BEHIND, digest_of, split_places
from tbe.prepare.datasets.composite.making import MASKS, Compositing, Recipe
from tbe.prepare.datasets.composite.pictures import Size, parsed_size
from tbe.prepare.datasets.composite.plan import (
    AS_FILMED,
    SPLITS,
    Actor,
    Clip,
    Places,
    check_places,
    plan_text,
    planned,
    realized_bias,
)
from tbe.prepare.datasets.composite.sheet import draw_sheet

SCENES = "scenes"
STOPPED = 130  # the exit code of Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_lists(parser)
    parser.add_argument("--masks", required=True, type=Path, metavar="FOLDER", help="the folder of the mattes")
    help = "pictures and videos of places, or folders of them"
    parser.add_argument("--backgrounds", required=True, nargs="+", metavar="FILE", help=help)
    help = "held-out places: files or folders, or a number of those of --backgrounds; 0 makes no novel.txt"
    parser.add_argument("--novel", required=True, nargs="+", metavar="FILE|NUMBER", help=help)
    help = "whom a video shows: a regular expression on its path, or a file of lines '<path> <group>'"
    parser.add_argument("--group", required=True, metavar="EXPRESSION|FILE", help=help)
    parser.add_argument("--test", nargs="+", metavar="GROUP", help="the groups to test on; all others are trained on")
    help = "share of the groups to test on, without --test (%(default)s)"
    parser.add_argument("--test-share", type=float, default=0.2, help=help)
    parser.add_argument("--out", required=True, type=Path, help="the folder of the new videos, and of the lists")
    help = "share of an action's clips of train and iid that have its own place (%(default)s)"
    parser.add_argument("--bias", type=float, default=0.9, help=help)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--size", metavar="WxH", help="pixels of the videos, in place of the shape that they have")
    help = "largest short side of the videos in pixels, never enlarged (%(default)s)"
    sizes.add_argument("--short-side", type=int, default=256, help=help)
    help = "the place of a video: the median of its frames, or the frames (%(default)s)"
    parser.add_argument("--behind", default="still", choices=BEHIND, help=help)
    help = "pixels by which a matte's outline is moved inwards, before scaling (%(default)s)"
    parser.add_argument("--shrink", type=int, default=1, metavar="PIXELS", help=help)
    parser.add_argument("--seed", type=int, default=0, help="draws places, groups and held-out places (%(default)s)")
    parser.add_argument("--crf", type=int, default=16, help="quality of x264, 0 to 51, less is better (%(default)s)")
    parser.add_argument("--preset", default="veryfast", help="x264 preset: trades time for size (%(default)s)")
    add_work_options(parser, timeout=600.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the videos, writes the lists and exits 1 if any video failed."""
    _check(args)
    given = given_lists(args.root, args.list)
    actors, classes = _actors(given, args)
    owned, held_out = split_places(args.backgrounds, args.novel, args.seed)
    places = Places(len(owned), len(held_out))
    check_places(actors, places)
    clips = planned(actors, places, args.bias, args.seed)
    files = [*owned, *held_out]
    names = [*(file.stem for file in files), AS_FILMED]
    plan = plan_text(clips, classes, names)
    size = parsed_size(args.size) if args.size else Size(short_side=args.short_side)
    recipes = {clip.path: Recipe(clip.source, files[clip.place] if clip.place < len(files) else None) for clip in clips}
    moves = args.behind == "moving"
    making = Compositing(args.root, args.masks, args.out, recipes, size, moves, args.shrink, args.crf, args.preset)
    settings = _settings(args, plan, files)
    opened_report(
        "composite", with_inputs(settings, args), args, [clip.path for clip in clips]
    )  # refuses others before the plan is written
    _write_plan(args.out, clips, plan, names)
    for split in ("train", "iid"):
        print(f"{split}: {realized_bias(clips, split):.1%} of its clips are in their action's own place")
    lists = {split: [(clip.path, clip.action) for clip in clips if clip.split == split] for split in SPLITS}
    made = GivenLists({split: rows for split, rows in lists.items() if rows}, classes)
    no_novel = "" if held_out else " '~data.splits.novel'"
    try:
        make_of_each("composite", made, making, str, settings, args, f"data=composite{no_novel}")
    except PartDone:
        raise
    except SystemExit as ended:
        if ended.code != STOPPED:
            _draw(clips, args.out)
        raise
    finally:
        if not is_joining(args):
            remove_parts(args.out, {f"{MASKS}/{path}" for path in unique(made.paths(), args)})
    _draw(clips, args.out)


def _draw(clips: Sequence[Clip], out: Path) -> None:
    if file := draw_sheet(clips, out):
        print(f"{file}: some actors, one per row, in iid, swap, novel and plain; then some of train. Check their edges")


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.bias <= 1 or not 0 <= args.crf <= 51 or args.short_side < 2 or args.seed < 0:
        got = f"{args.bias:g}, {args.crf}, {args.short_side} and {args.seed}"
        raise UserError(f"expected bias 0 to 1, crf 0 to 51, short-side >= 2 and seed >= 0, got {got}")
    if not 0 <= args.shrink <= 50:
        raise UserError(f"--shrink: expected 0 to 50 pixels, got {args.shrink}")
    if not args.masks.is_dir():
        raise MissingFile(f"{args.masks}: expected the folder of the mattes, got no such folder")


def _actors(given: GivenLists, args: argparse.Namespace) -> tuple[list[Actor], list[str]]:
    """Returns the videos with a matte, each once and sorted, and the names of the actions."""
    labels: dict[str, int] = {}
    for path, label, *_ in (row for rows in given.rows.values() for row in rows):
        if labels.setdefault(path, label) != label:
            raise UserError(f"--list: expected one label for each video, got {labels[path]} and {label} for {path!r}")
    num_classes = max(labels.values()) + 1
    classes = given.classes or [str(label) for label in range(num_classes)]
    if len(classes) < num_classes or min(labels.values()) < 0:
        got = f"{len(classes)} for labels from {min(labels.values())} to {num_classes - 1}"
        raise UserError(f"{CLASSES}.txt: expected a name for each label from 0 on, got {got}")
    paths = with_mattes(sorted(labels), args.masks)
    unique_targets(paths, mp4_name)  # raises if two would become one
    groups = groups_of(paths, args.group, "--group")
    tested = test_groups(list(groups.values()), args.test, args.test_share, args.seed)
    trained = sorted(set(groups.values()) - tested)
    print(f"trained on: {', '.join(trained)}; tested on: {', '.join(sorted(tested))}")
    return [Actor(path, labels[path], groups[path], groups[path] in tested) for path in paths], classes


def _settings(args: argparse.Namespace, plan: str, places: Sequence[Path]) -> str:
    """Returns all settings that affect a picture, with hashes of the plan and of the files of the places."""
    digest = hashlib.sha256(plan.encode("utf-8", errors="surrogateescape")).hexdigest()[:8]
    what = f"plan={digest} places={digest_of(places)[:8]}"
    size = f"size={args.size}" if args.size else f"short_side={args.short_side}"
    return f"{what} {size} behind={args.behind} shrink={args.shrink} crf={args.crf} preset={args.preset}"


def _write_plan(out: Path, clips: Sequence[Clip], plan: str, places: Sequence[str]) -> None:
    """Writes plan.csv and the lists of places of all clips; readers of a list look up their own videos."""
    content = plan.encode("utf-8", errors="surrogateescape")
    write_whole(out / "plan.csv", lambda part: part.write_bytes(content))
    for split in dict.fromkeys(clip.split for clip in clips):
        write_list(out / SCENES / f"{split}.txt", [(clip.path, clip.place) for clip in clips if clip.split == split])
    write_whole(out / SCENES / f"{CLASSES}.txt", partial(write_list, rows=[(name,) for name in places]))
