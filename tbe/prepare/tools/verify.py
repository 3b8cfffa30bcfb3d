"""Decodes every video of a list from its first to its last frame, with the reader of training.

Writes a report, one row per video (path,label,status,frames,height,width,settings,reason), and a clean list of those
that decode, with the true number of frames in place of the listed one. The status is ok, failed (the decoder refuses
it), timeout, or crashed (the process ended). A stopped run resumes when it is started again: videos in the report are
not decoded again; a report of another folder or reader is refused. Exits with 1 if any video failed. --reader selects
another reader of training. A file that is cut off in a container that can be read up to there (avi, mkv) passes, with
fewer frames. As in training, a list with paths outside --root is refused, and a video that a link leads there fails.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tbe.data.sources.records import Records, check_links, fence, list_suffix, read_list, write_records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.inputs import check_same, with_inputs
from tbe.prepare.common.parts import add_part_options, is_joining, opened_report
from tbe.prepare.common.path_column import PathColumn, distinct
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import (
    add_work_options,
    check_work_options,
    exit_on_failures,
    print_counts,
    work_through,
)

if TYPE_CHECKING:
    from tbe.data.readers import OpenVideo

BYTES_AT_ONCE = 128 * 2**20  # of decoded frames: a reader may go back to a key frame for each batch of them


class Verified(NamedTuple):
    """The outcome of decoding one video of a list; zeros unless the status is ok."""

    path: str
    label: int
    status: str
    frames: int = 0
    height: int = 0
    width: int = 0
    settings: str = ""
    reason: str = ""


class Decoded(NamedTuple):
    """The number and size of a video's decoded frames."""

    num_frames: int
    height: int
    width: int


@dataclass(frozen=True)
class Decoding:
    """Decodes all frames of a video below root, some at a time; raises DecodeError if it can't.

    is_fenced: whether links out of root are refused. reader: None for `reader=auto` of training.
    """

    root: Path
    is_fenced: bool = True
    reader: OpenVideo | None = None

    def __call__(self, path: str) -> Decoded:
        from tbe.data.readers import DecodeError  # slow to import

        file = path_on_disk(os.path.join(self.root, path))
        if self.is_fenced:
            check_links(file, self.root)
        video = (self.reader or named_reader(["auto"]))(file)
        if not len(video):
            raise DecodeError(f"{path}: expected frames, got none")
        first = video.frames([0])
        height, width = first.shape[-2:]
        num_frames, num_at_once = 0, max(1, BYTES_AT_ONCE // first.nbytes)
        for start in range(0, len(video), num_at_once):
            num_frames += len(video.frames(range(start, min(start + num_at_once, len(video)))))
        return Decoded(num_frames, height, width)


def named_reader(words: Sequence[str]) -> OpenVideo:
    """Builds the reader of training with this name; further words are its settings, such as `template=%06d.jpg`."""
    from tbe.api.build import build  # slow to import

    name, *settings = words
    pairs = [setting.partition("=") for setting in settings]
    if not all(equals for _, equals, _ in pairs):
        raise UserError(f"--reader {' '.join(words)}: expected settings SETTING=VALUE after the name")
    return build("reader", name, **{key: int(value) if value.isdecimal() else value for key, _, value in pairs})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    parser.add_argument("--list", required=True, type=Path, help="the list file")
    parser.add_argument("--out", type=Path, help="the clean list (<list>_clean beside the list)")
    parser.add_argument("--report", type=Path, help="the report (<list>_report.csv beside the list)")
    help = "allow videos that the list, or links, name outside --root, like data.allow_outside_root=true of a run"
    parser.add_argument("--allow-outside-root", action="store_true", help=help)
    help = "the run's reader, as in reader=, and its settings, such as frames template=%%06d.jpg (auto)"
    parser.add_argument("--reader", nargs="+", default=["auto"], metavar=("NAME", "SETTING=VALUE"), help=help)
    add_work_options(parser, timeout=120.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Decodes the videos, writes both files and exits 1 if any video failed."""
    check_work_options(args)
    for what, is_there in ((args.root, args.root.is_dir()), (args.list, args.list.is_file())):
        if not is_there:
            raise MissingFile(f"{what}: expected {'the folder of the videos' if what is args.root else 'a list'}")
    records = read_list(args.list, args.root)
    records = records if args.allow_outside_root else fence(records, str(args.list))
    paths = distinct([records.paths])
    pairs = () if is_joining(args) else zip(map(os.fsdecode, records.paths), records.labels.tolist(), strict=True)
    labels = dict(pairs)
    reader = None if is_joining(args) else named_reader(args.reader)
    decoding = Decoding(args.root, not args.allow_outside_root, reader)
    report = opened_report(args.report or args.list.with_name(f"{args.list.stem}_report.csv"), Verified, args, paths)
    settings = with_inputs(f"reader={' '.join(args.reader)}", args)
    check_same(report, settings, paths, "name another one with --report, or remove it")

    def row_of(outcome: Outcome) -> Verified:
        path, status, decoded, reason = outcome
        frames, height, width = decoded or (0, 0, 0)
        return Verified(path, labels[path], status, frames, height, width, settings, reason)

    work_through("decoding", paths, report, decoding, row_of, args)
    out = args.out or args.list.with_name(f"{args.list.stem}_clean{list_suffix(args.list)}")
    write_clean_list(records, report, out)
    exit_on_failures(print_counts(report, paths), len(paths), report)


def write_clean_list(records: Records, report: Report, out: Path) -> None:
    """Writes the videos that decode, with labels and true frame counts; prints how many have fewer than listed."""
    num_frames, is_clean = np.zeros(len(records), np.int64), np.zeros(len(records), bool)
    for place, row in enumerate(report.rows_of(PathColumn([records.paths]))):
        num_frames[place], is_clean[place] = row.frames, row.status == "ok"
    num_short = np.count_nonzero(is_clean & (num_frames < records.num_frames))
    if num_short:
        print(f"{num_short} videos have fewer frames than the list says")
    if is_clean.any():
        write_records(out, replace(records, num_frames=num_frames), is_clean)
        print(f"{out}: {np.count_nonzero(is_clean)} videos")
    else:
        print(f"{out}: not written, as no video is left")
