"""The command: makes the masks of each video, then a sheet to look at."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tbe.data.sources.text_files import printable
from tbe.errors import MissingFile, UserError
from tbe.launch.quoting import override
from tbe.prepare.common.given_lists import add_lists, given_lists
from tbe.prepare.common.inputs import with_inputs
from tbe.prepare.common.making import make_missing, mp4_name, opened_report, unique_targets
from tbe.prepare.common.parts import add_part_options
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import add_work_options, exit_on_failures, print_counts
from tbe.prepare.tools.masks.against import ABOVE, compare
from tbe.prepare.tools.masks.making import Masking
from tbe.prepare.tools.masks.sheet import draw_sheet
from tbe.prepare.tools.masks.ways import PROMPTS, WAYS, Options, checked


class MaskRow(NamedTuple):
    """A row of the report: Masked, zeros unless the status is ok. settings: those that affect the output."""

    path: str
    status: str
    frames: int = 0
    height: int = 0
    width: int = 0
    foreground: float = 0.0
    without: int = 0
    doubt: str = ""
    settings: str = ""
    reason: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    add_lists(parser)
    parser.add_argument("--out", required=True, type=Path, help="the folder of the masks")
    parser.add_argument("--by", required=True, choices=WAYS, help="how people are found, see above")
    help = "largest short side of the masks in pixels, never enlarged (%(default)s)"
    parser.add_argument("--short-side", type=int, default=256, help=help)
    help = "a file for --by torchvision (torch's cache), a folder or Hub id for --by sam2 (facebook/sam2.1-hiera-tiny)"
    parser.add_argument("--weights", type=Path, help=help)
    help = "of --by torchvision and sam2: cpu, cuda, ... (a GPU if there is one)"
    parser.add_argument("--device", help=help)
    parser.add_argument("--prompt", choices=PROMPTS, help=f"of --by sam2: what shows it the people ({PROMPTS[0]})")
    help = "of --prompt torchvision: the weights of Mask R-CNN (torch's cache)"
    parser.add_argument("--detector", type=Path, metavar="FILE", help=help)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="true masks of these videos to compare with")
    add_work_options(parser, timeout=600.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Makes the masks, draws the sheet and exits 1 if any video failed."""
    if args.short_side < 16:
        raise UserError(f"--short-side: expected 16 pixels or more, got {args.short_side}")
    if args.against and not args.against.is_dir():
        raise MissingFile(f"--against: expected the folder of the true masks, got no such folder: {args.against}")
    targets = unique_targets(given_lists(args.root, args.list).paths(), mp4_name)
    num_threads = max(1, (os.cpu_count() or 1) // max(1, args.workers))
    options = checked(args.by, Options(args.weights, args.device, num_threads, args.prompt, args.detector))
    settings = with_inputs(f"by={args.by} short_side={args.short_side}" + _networks(args.weights, options), args)
    report = opened_report("masks", settings, args, targets.paths, MaskRow)

    def row_of(outcome: Outcome) -> MaskRow:
        made = outcome.value or (0, 0, 0, 0.0, 0, "")
        return MaskRow._make((outcome.item, outcome.status, *made, settings, outcome.reason))

    making = Masking(args.root, args.out, partial(WAYS[args.by], options), args.short_side)
    make_missing("masks", targets, report, making, row_of, args)
    num_failed = print_counts(report, targets.paths)
    if num_failed < len(targets.paths):
        _tell(targets.paths, report, args)
    exit_on_failures(num_failed, len(targets.paths), report)


def _networks(named: Path | None, options: Options) -> str:
    """Returns the settings of networks, as they stand in the report; named: the weights on the command line."""
    weights = named if named is not None and options.prompt else options.weights
    parts = {"weights": weights and weights.name, "prompt": options.prompt}
    parts["detector"] = options.detector and options.detector.name
    return "".join(f" {name}={value}" for name, value in parts.items() if value)


def _tell(paths: PathColumn, report: Report, args: argparse.Namespace) -> None:
    """Prints what the masks are like, and draws the sheet."""
    is_made, has_doubt = np.zeros((2, len(paths)), bool)
    foreground, num_frames, num_empty = 0.0, 0, 0
    worst = doubtful = None
    for place, row in enumerate(report.rows_of(paths)):
        if row.status != "ok":
            continue
        is_made[place], has_doubt[place] = True, bool(row.doubt)
        foreground += row.foreground
        doubtful = doubtful or (row if row.doubt else None)
        if row.without:
            num_frames, num_empty = num_frames + row.without, num_empty + 1
            worst = max(worst or row, row, key=lambda one: one.without / one.frames)
    num_made = np.count_nonzero(is_made)
    print(f"foreground: {foreground / num_made:.1%} of a frame on average")
    if worst:
        where = f"{printable(worst.path)}: {worst.without} of {worst.frames}"
        print(f"no foreground in {num_frames} frames of {num_empty} videos (column `without`), such as {where}")
    if doubtful:
        where = f"{printable(doubtful.path)}: {doubtful.doubt}"
        print(f"look at {np.count_nonzero(has_doubt)} of {num_made} videos (column `doubt`), such as {where}")
    clear = paths[np.flatnonzero(is_made & ~has_doubt)]
    sheet = draw_sheet(paths[np.flatnonzero(has_doubt)], clear, args.root, args.out)
    print(f"{sheet}: some videos with their foreground on green, doubtful ones first. Check their edges")
    if args.against:
        compare(paths[np.flatnonzero(is_made)], args)
    masks = f"{override('++data.masks', args.out.resolve())} ++data.mask_above={ABOVE}"
    print(f"use them with: {masks}, or python -m tbe.prepare composite --masks {args.out}")
