"""Making something of each video below another folder: the report of it, and the lists of what was made."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.further_splits import print_use
from tbe.prepare.common.given_lists import GivenLists, write_again
from tbe.prepare.common.lists import listable
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import check_work_options, exit_on_failures, print_counts, work_through

PART = re.compile(r"(\.[0-9a-f]{32})?\.part\Z")  # what an unfinished file or folder has after its name


class Made(NamedTuple):
    """What was made of one video."""

    num_frames: int
    height: int
    width: int


class MadeRow(NamedTuple):
    """A row of the report; zeros unless the status is ok. settings: those that change what is made."""

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
    """Calls make(path) in processes, which fills <out>/<renamed(path)>; writes the lists; exits 1 if any video failed.

    What an earlier run with the same settings made and is still there is kept. ValueError for a report of other
    settings, for paths outside the folders, and for two videos that would have one name. use: what reads them.
    further: the lists are further splits of another data set, and have full paths.
    """
    targets = renamed_apart(given.paths(), renamed)
    report = opened_report(title, settings, args)
    gone = {path for path, target in targets.items() if not (args.out / target).exists()}
    report.forget(lambda row: row.status == "ok" and row.path in gone)

    def row_of(outcome: Outcome) -> MadeRow:
        frames, height, width = outcome.value or (0, 0, 0)
        return MadeRow(outcome.item, outcome.status, frames, height, width, settings, outcome.reason)

    try:
        work_through(title, targets, report, make, row_of, args)
    except SystemExit:  # Ctrl-C, which ends the processes at their work
        remove_parts(args.out, set(targets.values()))
        raise
    remove_parts(args.out, set(targets.values()))
    rows = [report.rows[path] for path in targets]
    folder = f"{args.out.resolve()}/" if further else ""
    made = {row.path: (listable(folder + targets[row.path]), row.frames) for row in rows if row.status == "ok"}
    write_again(given, args.out, made)
    num_failed = print_counts(report, targets)
    if further:
        for name in given.rows:
            print_use(args.out / f"{name}.txt", use)
    else:
        print(f"use them with: {override('data.root', args.out)} {use}".rstrip())
    exit_on_failures(num_failed, len(targets), report)


def opened_report(title: str, settings: str, args: argparse.Namespace) -> Report:
    """The report below --out; ValueError for one of other settings, and for options that no work can be done with."""
    check_work_options(args)
    if args.out.resolve() == args.root.resolve():
        raise UserError(f"--out: expected another folder than --root, got {args.out}")
    report = Report(args.out / f"{title}_report.csv", MadeRow)
    for row in report.rows.values():
        if row.settings != settings:
            raise UserError(
                f"{report.file}: expected a report of a run with {settings}, got one with {row.settings}: "
                "change --out, or remove what was made"
            )
    return report


def mp4_name(path: str) -> str:
    """The name of a video that is encoded anew."""
    return PurePosixPath(path).with_suffix(".mp4").as_posix()


def renamed_apart(paths: list[str], renamed: Callable[[str], str]) -> dict[str, str]:
    """Path -> new path for each; ValueError for one that leaves its folder, and for two of one new path."""
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
    """Removes the unfinished files and folders of these targets, which processes leave behind that were killed."""
    for folder in {PurePosixPath(target).parent for target in targets}:
        for part in Path(out, folder).glob("*.part"):
            if (folder / PART.sub("", part.name)).as_posix() in targets:
                remove = shutil.rmtree if part.is_dir() else Path.unlink
                remove(part)
