"""The command: measures the videos missing in motion.csv, then writes the lists."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from tbe.data.readers.decode_resize import reduced_size
from tbe.errors import MissingFile, UserError
from tbe.prepare.common import add_annotations, add_out, write_lists
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.hmdb51_splits import FILES, hmdb51_lists
from tbe.prepare.common.inputs import check_same, with_inputs
from tbe.prepare.common.parts import add_part_options, opened_report
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.work import (
    add_work_options,
    check_work_options,
    exit_on_failures,
    print_counts,
    work_through,
)
from tbe.prepare.datasets.hmdb51_sta.camera_motion import SHORT_SIDE, CameraMotion, camera_motion


class MeasuredRow(NamedTuple):
    """A row of motion.csv; zeros unless the status is ok."""

    path: str
    status: str
    motion: float = 0.0
    pairs: int = 0
    settings: str = ""
    reason: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the stabilised videos")
    add_annotations(parser, FILES)
    add_out(parser, "hmdb51_sta")
    help = "largest camera motion per frame, as a share of the short side (%(default)s)"
    parser.add_argument("--max-motion", type=float, default=0.01, metavar="SHARE", help=help)
    add_work_options(parser, timeout=300.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the videos, writes the lists and exits 1 if any video could not be measured."""
    check_work_options(args)
    if args.max_motion < 0:
        raise UserError(f"--max-motion: expected 0 or more, got {args.max_motion}")
    if not args.root.is_dir():
        raise MissingFile(f"{args.root}: expected the folder of the stabilised videos, got no such folder")
    given = hmdb51_lists(args.annotations)
    paths = given.paths()
    report = opened_report(args.out / "motion.csv", MeasuredRow, args, paths)
    settings = with_inputs(f"short_side={SHORT_SIDE}", args)
    check_same(report, settings, paths)
    work_through("measuring", paths, report, Measuring(args.root), partial(row_of, settings), args)
    rows = list(report.rows_of(paths))
    still = {row.path for row in rows if row.status == "ok" and row.motion <= args.max_motion}
    print_motion([row.motion for row in rows if row.status == "ok"], args.max_motion)
    lists = {name: [row for row in listed if row[0] in still] for name, listed in given.rows.items()}
    write_lists("hmdb51_sta", args.out, lists, given.classes)
    exit_on_failures(print_counts(report, paths), len(rows), report)


def row_of(settings: str, outcome: Outcome) -> MeasuredRow:
    """Returns the row of motion.csv for a video."""
    motion, pairs = outcome.value or (0.0, 0)
    return MeasuredRow(outcome.item, outcome.status, motion, pairs, settings, outcome.reason)


def print_motion(values: list[float], max_motion: float) -> None:
    """Prints how many of the measured videos are kept, and quantiles of the values, to choose a threshold by."""
    if values:
        num_kept = sum(value <= max_motion for value in values)
        spread = ", ".join(f"{share:.0%} {np.quantile(values, share):.4f}" for share in (0.5, 0.9, 0.99))
        print(f"{num_kept} of {len(values)} videos have a motion of at most {max_motion:g} (quantiles: {spread})")


@dataclass(frozen=True)
class Measuring:
    """Measures the camera motion of a video below root."""

    root: Path

    def __call__(self, path: str) -> CameraMotion:
        return camera_motion(small_gray_frames(self.root / path))


def small_gray_frames(video: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video as uint8 (H, W) with a short side of at most SHORT_SIDE."""
    reformatter, size = VideoReformatter(), (0, 0)
    with opened_video(video) as source:
        for number, frame in enumerate(source.frames):
            size = size if number else reduced_size(frame.height, frame.width, SHORT_SIDE)
            yield reformatter.reformat(frame, size[1], size[0], "gray", interpolation="AREA").to_ndarray()
