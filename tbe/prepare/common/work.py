"""Processes each video of a list in processes that may hang or crash, with a report that a later run resumes from."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple, NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tbe.data.sources.text_files import printable
from tbe.errors import UserError
from tbe.prepare.common.parts import PartDone, check_complete, is_joining, is_part, part_of, unique
from tbe.prepare.common.processes import Outcome, call_in_processes
from tbe.prepare.common.report import Report
from tbe.prepare.common.throughput import Throughput


def add_work_options(parser: argparse.ArgumentParser, timeout: float) -> None:
    """Adds the options of every command that opens videos."""
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="number of processes (%(default)s)")
    parser.add_argument("--timeout", type=float, default=timeout, help="seconds one video may take (%(default)s)")
    parser.add_argument("--retry", action="store_true", help="retry the videos that failed in an earlier run")


def check_work_options(args: argparse.Namespace) -> None:
    """Raises UserError for invalid options."""
    if args.workers < 1 or args.timeout <= 0:
        raise UserError(f"expected workers >= 1 and timeout > 0, got {args.workers} and {args.timeout}")


def work_through(
    title: str,
    paths: Sequence[str],
    report: Report,
    work: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
) -> None:
    """Calls work(path) for the paths missing in the report, and adds the row of each outcome to it.

    Ctrl-C exits with 130, and prints that the report is kept. A part of the work (--part) ends the command by
    `PartDone`; a join (--join) calls nothing, and raises UserError for paths that no part has in its report.
    """
    if is_joining(args):
        wanted = unique(paths, args)
        check_complete(wanted, report)
        report.rewrite(wanted)
        return
    work_on(title, paths, report, work, row_of, args)
    if is_part(args):
        end_part(unique(paths, args), report, args)


def work_on(
    title: str,
    paths: Sequence[str],
    report: Report,
    work: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
    unit: str = "videos",
) -> None:
    """Does what `work_through` does for a command that goes on after its part of the work.

    unit: what the paths are, for messages.
    """
    if args.retry:
        report.forget(lambda row: row.status != "ok")
    wanted = unique(paths, args)
    missing = [path for path in wanted if path not in report.rows]
    if known := len(wanted) - len(missing):
        print(f"{title}: {known} of {len(wanted)} {unit} are in {report.file} already, and taken as they are there")
    try:
        with report.alone():
            _work_on_missing(title, missing, len(wanted), report, work, row_of, args, unit)
    except KeyboardInterrupt:
        print(f"\nstopped; {report.file} is kept: run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None


def end_part(paths: Sequence[str], report: Report, args: argparse.Namespace) -> NoReturn:
    """Ends the command after its part of the work, these videos, by `PartDone`, with status 1 if any failed."""
    num_failed = print_counts(report, paths)
    print(f"part {part_of(args)} is done: --join in place of --part, once all are, writes the lists")
    exit_on_failures(num_failed, len(paths), report, PartDone)
    raise PartDone(0)


def _work_on_missing(
    title: str,
    missing: list[str],
    num_wanted: int,
    report: Report,
    work: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
    unit: str,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    name = f"{title}, part {part_of(args)}" if is_part(args) else title
    throughput = Throughput(len(missing), unit)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(name, total=num_wanted, completed=num_wanted - len(missing), speed="")
        show = partial(progress.console.print, markup=False, highlight=False, soft_wrap=True)
        with closing(call_in_processes(work, missing, args.workers, args.timeout)) as outcomes:
            for outcome in outcomes:
                report.add(row_of(outcome))
                if outcome.status != "ok":
                    show(f"{printable(outcome.item)}: {outcome.status}: {printable(outcome.reason)}")
                throughput.advance()
                progress.update(task, advance=1, speed=f"{throughput.rate:.3g} {unit}/s")
                if not progress.console.is_terminal and throughput.is_due():  # a log has no bar
                    show(f"{name}: {throughput.under_way()}")
    if missing:
        print(f"{name}: {throughput.at_the_end()}")


def print_counts(report: Report, paths: Sequence[str]) -> int:
    """Prints the number of these videos, each of which comes once, by status, and returns how many failed."""
    counts = Counter(row.status for row in report.rows_of(paths))
    print(f"{report.file}: " + ", ".join(f"{number} {status}" for status, number in counts.most_common()))
    return counts.total() - counts["ok"]


def exit_on_failures(num_failed: int, num_videos: int, report: Report, ending: type[SystemExit] = SystemExit) -> None:
    """Exits with status 1 if any video failed."""
    if num_failed:
        raise ending(f"{num_failed} of {num_videos} videos failed: see {report.file}; --retry tries them again")
