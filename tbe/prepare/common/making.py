"""Makes an output of each video in another folder, with a report and the lists of the outputs."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from tbe.data.sources.text_columns import TextColumn
from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.further_splits import print_use
from tbe.prepare.common.given_lists import GivenLists, write_again
from tbe.prepare.common.inputs import check_same, with_inputs
from tbe.prepare.common.lists import listable
from tbe.prepare.common.parts import is_joining, unique
from tbe.prepare.common.parts import opened_report as report_of_part
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import check_work_options, exit_on_failures, print_counts, work_through

ODD = re.compile(r"//|/\.|^\./|/$|^\.?$")  # in a path that pathlib would write otherwise
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
    UserError for a report of other settings, or of these names and other folders, for paths outside the folders, and
    for two videos with the same output name. use: options to read the outputs.
    further: whether the lists are further splits of another data set, with full paths.
    """
    targets, settings = unique_targets(given.paths(), renamed), with_inputs(settings, args)
    report = opened_report(title, settings, args, targets.paths)

    def row_of(outcome: Outcome) -> MadeRow:
        frames, height, width = outcome.value or (0, 0, 0)
        return MadeRow(outcome.item, outcome.status, frames, height, width, settings, outcome.reason)

    make_missing(title, targets, report, make, row_of, args)
    folder = f"{args.out.resolve()}/" if further else ""

    def made(paths: Iterable[str]) -> Iterator[tuple[str, int] | None]:
        for row in report.rows_of(paths):
            yield (listable(folder + targets[row.path]), row.frames) if row.status == "ok" else None

    write_again(given, args.out, made)
    num_failed = print_counts(report, targets.paths)
    if further:
        for name in given.rows:
            print_use(given.file(name, args.out), use)
    else:
        print(f"use them with: {override('data.root', args.out)} {use}".rstrip())
    exit_on_failures(num_failed, len(targets.paths), report)


@dataclass(frozen=True)
class Targets:
    """The name of what is made of each of these videos: `targets[path]`, a path with '/'."""

    paths: PathColumn
    renamed: Callable[[str], str]

    def __getitem__(self, path: str) -> str:
        target = self.renamed(path)
        return PurePosixPath(target).as_posix() if ODD.search(target) else target


def make_missing(
    title: str,
    targets: Targets,
    report: Report,
    make: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
) -> None:
    """Calls make(path), in processes, for each target below --out, or of this part, that the report or folder lacks."""
    own = unique(targets.paths, args)
    missing = {path for path in own if not os.path.exists(os.path.join(args.out, targets[path]))}
    if missing:
        report.forget(lambda row: row.status == "ok" and row.path in missing)
    try:
        work_through(title, targets.paths, report, make, row_of, args)
    finally:  # also after Ctrl-C, which ends the processes midway
        if not is_joining(args):  # other machines may still be at work
            remove_parts(args.out, {targets[path] for path in own})


def opened_report(
    title: str,
    settings: str,
    args: argparse.Namespace,
    paths: Sequence[str],
    row_type: type[NamedTuple] = MadeRow,
) -> Report:
    """Opens the report below --out; raises UserError for a report of other settings or inputs, or invalid options.

    paths: of all videos. row_type: of a report with other columns, `settings` among them.
    """
    check_work_options(args)
    if args.out.resolve() == args.root.resolve():
        raise UserError(f"--out: expected another folder than --root, got {args.out}")
    report = report_of_part(args.out / f"{title}_report.csv", row_type, args, paths)
    check_same(report, settings, paths)
    return report


def mp4_name(path: str) -> str:
    """Returns the name of a re-encoded video."""
    return with_suffix(path, ".mp4")


def with_suffix(path: str, suffix: str) -> str:
    """Returns a path with another suffix, as `PurePosixPath.with_suffix` does, which takes ten times as long."""
    stem, _, old = path.rpartition(".")
    if stem and old and "/" not in old and stem[-1] != "/":
        return stem + suffix
    return PurePosixPath(path).with_suffix(suffix).as_posix()


def unique_targets(paths: Sequence[str], renamed: Callable[[str], str]) -> Targets:
    """Returns the targets of paths; raises UserError for a path outside the folder, and for two of one target."""
    targets = Targets(PathColumn.of(paths), renamed)
    for path in targets.paths:
        if path.startswith("/") or ".." in path:
            pure = PurePosixPath(path)
            if pure.is_absolute() or ".." in pure.parts:
                raise UserError(f"expected paths below --root, got {path!r}")
    _check_different(targets)
    return targets


def _check_different(targets: Targets) -> None:
    """Raises UserError for two videos of one target; of several pairs for the first one."""
    chunks = (TextColumn.of(os.fsencode(targets[path]) for path in paths) for paths in targets.paths.chunks())
    digests = np.concatenate([np.zeros(0, np.uint64), *(chunk.digests() for chunk in chunks)])
    ordered = np.sort(digests)
    alike = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(alike):
        return
    taken: dict[str, str] = {}
    for position in np.flatnonzero(np.isin(digests, alike)).tolist():
        path = targets.paths[position]
        if taken.setdefault(targets[path], path) != path:
            new = targets[path]
            raise UserError(f"expected one video to become {new!r}, got {taken[new]!r} and {path!r}")


def remove_parts(out: Path, targets: set[str]) -> None:
    """Removes unfinished files and folders of these targets, which killed processes leave behind."""
    for folder in {PurePosixPath(target).parent for target in targets}:
        for part in Path(out, folder).glob("*.part"):
            if (folder / PART.sub("", part.name)).as_posix() in targets:
                remove = shutil.rmtree if part.is_dir() else Path.unlink
                remove(part)
