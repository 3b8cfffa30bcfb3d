"""Processes each video of a list in processes that may hang or crash, with a report that a later run resumes from."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tbe.data.sources.text_files import printable
from tbe.errors import UserError
from tbe.prepare.common.processes import Outcome, call_in_processes
from tbe.prepare.common.report import Report


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
    paths: Iterable[str],
    report: Report,
    work: Callable[[str], Any],
    row_of: Callable[[Outcome], NamedTuple],
    args: argparse.Namespace,
) -> None:
    """Calls work(path) for the paths missing in the report, and adds the row of each outcome to it.

    Ctrl-C exits with 130, and prints that the report is kept.
    """
    if args.retry:
        report.forget(lambda row: row.status != "ok")
    wanted = dict.fromkeys(paths)
    missing = [path for path in wanted if path not in report.rows]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with report.alone(), Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
            task = progress.add_task(title, total=len(wanted), completed=len(wanted) - len(missing))
            with closing(call_in_processes(work, missing, args.workers, args.timeout)) as outcomes:
                for outcome in outcomes:
                    report.add(row_of(outcome))
                    if outcome.status != "ok":
                        line = f"{printable(outcome.item)}: {outcome.status}: {printable(outcome.reason)}"
                        progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
                    progress.advance(task)
    except KeyboardInterrupt:
        print(f"\nstopped; {report.file} is kept: run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None


def print_counts(report: Report, paths: Iterable[str]) -> int:
    """Prints the number of these videos by status, and returns how many failed."""
    counts = Counter(report.rows[path].status for path in dict.fromkeys(paths))
    print(f"{report.file}: " + ", ".join(f"{number} {status}" for status, number in counts.most_common()))
    return counts.total() - counts["ok"]


def exit_on_failures(num_failed: int, num_videos: int, report: Report) -> None:
    """Exits with status 1 if any video failed."""
    if num_failed:
        sys.exit(f"{num_failed} of {num_videos} videos failed: see {report.file}; --retry tries them again")
