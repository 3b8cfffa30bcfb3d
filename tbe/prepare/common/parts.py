"""Parts of a command's work, done by one machine each, and their joining: --part k/n and --join.

Part k of n takes every n-th video of the list from the k-th on, and has a report of its own; no lists are written. The
join reads the reports of all parts, says which videos are missing, and writes what a single machine would have written.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tbe.errors import UserError
from tbe.prepare.common.path_column import PathColumn
from tbe.prepare.common.report import Report

T = TypeVar("T")

NAME = re.compile(r"\.part-(\d+)-of-(\d+)\Z")  # between the stem of a report and its suffix
MAX_NAMED = 8  # parts that an error lists


class Part(NamedTuple):
    """A part of the work: the number-th, from 1, of `total`."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Returns this part of some items: all parts have as many, up to one, and from all over the list."""
        return items[self.number - 1 :: self.total]


class PartDone(SystemExit):
    """Ends a command after its part of the work: what follows takes all parts."""


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that divide the work among machines."""
    shared = parser.add_mutually_exclusive_group()
    help = "do the k-th of n parts, with a report of its own and without lists: one job of an array on a cluster"
    shared.add_argument("--part", type=parsed_part, metavar="K/N", help=help)
    help = "join the parts: check that none is missing, then write the lists and the report as one machine would"
    shared.add_argument("--join", action="store_true", help=help)


def parsed_part(text: str) -> Part:
    """Parses 'k/n' with 1 <= k <= n; raises ArgumentTypeError for anything else."""
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    part = Part(*map(int, match.groups())) if match else Part(0, 0)
    if not 1 <= part.number <= part.total:
        raise argparse.ArgumentTypeError(f"expected K/N with K from 1 to N, such as 3/64, got {text!r}")
    return part


def part_of(args: argparse.Namespace) -> Part:
    """Returns the part that the options choose, by default the only one."""
    return getattr(args, "part", None) or Part(1, 1)


def is_part(args: argparse.Namespace) -> bool:
    """Checks whether the options choose a part, if only the first of one."""
    return getattr(args, "part", None) is not None


def is_joining(args: argparse.Namespace) -> bool:
    """Checks whether the options ask for a join."""
    return getattr(args, "join", False)


def whole(args: argparse.Namespace) -> argparse.Namespace:
    """Returns the options of further work that one machine does, after a join too."""
    return argparse.Namespace(**{**vars(args), "part": None, "join": False})


def opened_report(file: Path, row_type: type[NamedTuple], args: argparse.Namespace, paths: Sequence[str]) -> Report:
    """Opens the report of the work: that of a part, or for a join one with the rows of all parts for these videos.

    Raises UserError for a join without parts, and with parts of several numbers.
    """
    if is_joining(args) and args.retry:
        raise UserError("--join makes nothing: expected --retry with --part, got it with --join")
    if is_part(args):
        number, count = part_of(args)
        return Report(file.with_name(f"{file.stem}.part-{number:05d}-of-{count:05d}{file.suffix}"), row_type)
    if not is_joining(args):
        return Report(file, row_type)
    parts = part_files(file)
    report = Report(file, row_type, PathColumn.of(paths))
    for part in parts.values():
        report.include(part)
    return report


def part_files(file: Path) -> dict[Part, Path]:
    """Returns the reports of the parts that were begun; raises UserError for none, and for parts of several numbers."""
    found = {}
    for path in sorted(file.parent.glob(f"*{file.suffix}")):
        match = NAME.search(path.stem)
        if match and path.stem.removesuffix(match[0]) == file.stem:
            found[Part(int(match[1]), int(match[2]))] = path
    counts = sorted({part.total for part in found})
    if len(counts) != 1:
        got = " and ".join(map(str, counts))
        got = f"parts of {got}: remove the reports that don't count" if counts else "none: run the parts first"
        raise UserError(f"--join: expected reports {file.stem}.part-...{file.suffix} in {file.parent}, got {got}")
    return found


def check_complete(paths: Sequence[str], report: Report) -> None:
    """Raises UserError that names the parts of which videos are missing in a joined report."""
    (count,) = {part.total for part in part_files(report.file)}
    places = (place for place, is_there in enumerate(report.has(paths)) if not is_there)
    first = next(places, None)
    if first is None:
        return
    missing = Counter([first % count + 1])
    missing.update(place % count + 1 for place in places)
    raise UserError(
        f"--join: expected all {len(paths)} videos, got none of {missing.total()}, such as {paths[first]!r}: "
        f"{run_again(missing, count)}"
    )


def run_again(missing: Counter[int], count: int) -> str:
    """Returns what to do about parts, of so many, that lack something: how much by the number of the part."""
    named = [f"{number}/{count} ({missing[number]} missing)" for number in sorted(missing)[:MAX_NAMED]]
    more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
    return f"run again with --part {', '.join(named)}{more}"


def unique(paths: Sequence[str], args: argparse.Namespace) -> Sequence[str]:
    """Returns each path once, and of those this part's; paths: those of a column are there once."""
    return part_of(args).of(paths if isinstance(paths, PathColumn) else list(dict.fromkeys(paths)))
