"""The command: decodes what the report lacks, then writes the clean list."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tbe.data.records import Records, read_list, write_list
from tbe.prepare.verify.decoding import Decoded, decode_video
from tbe.prepare.verify.processes import call_in_processes
from tbe.prepare.verify.report import Report, ReportRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of the videos")
    parser.add_argument("--list", required=True, type=Path, help="the list file")
    parser.add_argument("--out", type=Path, help="the clean list (<list>_clean.txt beside the list)")
    parser.add_argument("--report", type=Path, help="the report (<list>_report.csv beside the list)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that decode (%(default)s)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds one video may take (%(default)s)")


def run(chosen: argparse.Namespace) -> None:
    """Decodes the videos, writes both files and exits 1 if any video failed."""
    if chosen.workers < 1 or chosen.timeout <= 0:
        raise ValueError(f"expected workers >= 1 and timeout > 0, got {chosen.workers} and {chosen.timeout}")
    for what, is_there in ((chosen.root, chosen.root.is_dir()), (chosen.list, chosen.list.is_file())):
        if not is_there:
            raise FileNotFoundError(
                f"{what}: expected {'the folder of the videos' if what is chosen.root else 'a list'}"
            )
    records = read_list(chosen.list, chosen.root)
    report = Report(chosen.report or chosen.list.with_name(f"{chosen.list.stem}_report.csv"))
    try:
        decode_missing(records, report, chosen.workers, chosen.timeout)
    except KeyboardInterrupt:
        print(f"\nstopped; {report.file} is kept: the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    num_failed = finish(records, report, chosen.out or chosen.list.with_name(f"{chosen.list.stem}_clean.txt"))
    if num_failed:
        sys.exit(f"{num_failed} of {len(records)} videos failed: see {report.file}, and remove a row to try it again")


def decode_missing(
    records: Records, report: Report, num_workers: int, timeout: float, decode: Callable[[str], Decoded] = decode_video
) -> None:
    """Decodes the videos that the report lacks, and adds their rows."""
    places = {records.path(index): index for index, path in enumerate(_paths(records)) if path not in report.rows}
    kept = len(set(_paths(records))) - len(places)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("decoding", total=kept + len(places), completed=kept)
        with closing(call_in_processes(decode, places, num_workers, timeout)) as outcomes:
            for item, status, decoded, reason in outcomes:
                path, label = _paths(records)[places[item]], int(records.labels[places[item]])
                report.add(ReportRow(path, label, status, *(decoded or ()), reason=reason))
                if status != "ok":
                    progress.console.print(f"{path}: {status}: {reason}", markup=False, highlight=False, soft_wrap=True)
                progress.advance(task)


def finish(records: Records, report: Report, out: Path) -> int:
    """Writes the clean list, prints how many videos ended how, and returns how many failed."""
    rows = [report.rows[path] for path in _paths(records)]
    clean = [
        (row.path, int(label), row.frames)
        for row, label in zip(rows, records.labels, strict=True)
        if row.status == "ok"
    ]
    counts = Counter(row.status for row in rows)
    print(f"{report.file}: " + ", ".join(f"{number} {status}" for status, number in counts.most_common()))
    promised = zip(rows, records.num_frames.tolist(), strict=True)
    num_short = sum(row.status == "ok" and row.frames < num_frames for row, num_frames in promised)
    if num_short:
        print(f"{num_short} videos have fewer frames than the list says")
    if clean:
        write_list(out, clean)
        print(f"{out}: {len(clean)} videos")
    else:
        print(f"{out}: not written, as no video is left")
    return len(rows) - len(clean)


def _paths(records: Records) -> list[str]:
    return [os.fsdecode(path) for path in records.paths]
