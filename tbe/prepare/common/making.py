"""Makes an output of each video in another folder, with a report and the lists of the outputs."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.further_splits import print_use
from tbe.prepare.common.given_lists import GivenLists, write_again
from tbe.prepare.common.lists import listable
from tbe.prepare.common.parts import is_joining, unique
from tbe.prepare.common.parts import opened_report as report_of_part
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import check_work_options, exit_on_failures, print_counts, work_through

PART = re.compile(r"(\.[0-9a-f]{32})?\.part\Z")  # suffix of an unfinished file or folder


class Made(NamedTuple):
    """The number and size of the frames made of one video."""

    num_frames: int
    height: int
    width: int


class MadeRow(NamedTuple):
    """A row of the report; zeros unless the status is ok. settings: those that affect the output."""

    path: str
    status: str
    frames: int = 0
    height: int = 0
    width: int = 0
    settings: str = ""
    reason: str = ""


def make_of_each(
    title: str,
    given: GivenLists,
    make: Callable[[str], Made],
    renamed: Callable[[str], str],
    settings: str,
    args: argparse.Namespace,
    use: str = "",
    further: bool = False,
) -> None:
    """Calls make(path), which writes <out>/<renamed(path)>, in processes, then writes the lists.

    Exits with 1 if any video failed. Keeps the outputs that an earlier run with the same settings made. Raises
    UserError for a report of other settings, for paths outside the folders, and for two videos with the same output
    name. use: options to read the outputs.
    further: whether the lists are further splits of another data set, with full paths.
    """
    targets = unique_targets(given.paths(), renamed)
    report = opened_report(title, settings, args)

    def row_of(outcome: Outcome) -> MadeRow:
        frames, height, width = outcome.value or (0, 0, 0)
        return MadeRow(outcome.item, outcome.status, frames, height, width, settings, outcome.reason)

    make_missing(title, targets, report, make, row_of, args)
    rows = [report.rows[path] for path in targets]
    folder = f"{args.out.resolve()}/" if further else ""
    made = {row.path: (listable(folder + targets[row.path]), row.frames) for row in rows if row.status == "ok"}
    write_again(given, args.out, made)
    num_failed = print_counts(report, targets)
    if further:
        for name in given.rows:
            print_use(given.file(name, args.out), use)
    else:
        print(f"use them with: {override('data.root', args.out)} {use}".rstrip())
    exit_on_failures(num_failed, len(targets), report)


def make_missing(
    title: str,
    targets: dict[str, str],
    report: Report,
    make: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
) -> None:
    """Calls make(path), in processes, for each target below --out, or of this part, that the report or folder lacks."""
    own = {path: targets[path] for path in unique(targets, args)}
    missing = {path for path, target in own.items() if not (args.out / target).exists()}
    report.forget(lambda row: row.status == "ok" and row.path in missing)
    try:
        work_through(title, targets, report, make, row_of, args)
    finally:  # also after Ctrl-C, which ends the processes midway
        if not is_joining(args):  # other machines may still be at work
            remove_parts(args.out, set(own.values()))


def opened_report(title: str, settings: str, args: argparse.Namespace, row_type: type[NamedTuple] = MadeRow) -> Report:
    """Opens the report below --out; raises UserError for a report of other settings, and for invalid options.

    row_type: of a report with other columns, `settings` among them.
    """
    check_work_options(args)
    if args.out.resolve() == args.root.resolve():
        raise UserError(f"--out: expected another folder than --root, got {args.out}")
    report = report_of_part(args.out / f"{title}_report.csv", row_type, args)
    for row in report.rows.values():
        if row.settings != settings:
            raise UserError(
                f"{report.file}: expected a report of a run with {settings}, got one with {row.settings}: "
                "change --out, or remove the old output"
            )
    return report


def mp4_name(path: str) -> str:
    """Returns the name of a re-encoded video."""
    return PurePosixPath(path).with_suffix(".mp4").as_posix()


def unique_targets(paths: list[str], renamed: Callable[[str], str]) -> dict[str, str]:
    """Returns path -> new path; raises UserError for a path outside the folder, and for two with the same new path."""
    targets: dict[str, str] = {}
    taken: dict[str, str] = {}
    for path in paths:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            raise UserError(f"expected paths below --root, got {path!r}")
        new = PurePosixPath(renamed(path)).as_posix()
        if taken.setdefault(new, path) != path:
            raise UserError(f"expected one video to become {new!r}, got {taken[new]!r} and {path!r}")
        targets[path] = new
    return targets


def remove_parts(out: Path, targets: set[str]) -> None:
    """Removes unfinished files and folders of these targets, which killed processes leave behind."""
    for folder in {PurePosixPath(target).parent for target in targets}:
        for part in Path(out, folder).glob("*.part"):
            if (folder / PART.sub("", part.name)).as_posix() in targets:
                remove = shutil.rmtree if part.is_dir() else Path.unlink
                remove(part)
