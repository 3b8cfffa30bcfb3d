"""Injects faults into runs and counts what is lost: `python -m benchmarks.faults.run`.

Runs and single processes are killed, checkpoints truncated, disks full, readers hang or crash, videos and lists are
corrupt, buckets fail, losses explode, checkpoints and lists are malicious, each as often as the table says, at random
moments and places. Every number in the table is counted here. Takes about 50 minutes on two cores. Needs Linux.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.common.harness import machine
from benchmarks.faults.buckets import buckets
from benchmarks.faults.checkpoints import changed, killed_while_writing, torn
from benchmarks.faults.elastic import lost_and_returned
from benchmarks.faults.processes import PAIR, RANKS, lost, preempted
from benchmarks.faults.report import Outcome, markdown, write
from benchmarks.faults.runs import disk_full, exploded, killed, resumed_from_spoiled, skipped, terminated
from benchmarks.faults.small_runs import SmallRuns
from benchmarks.faults.untrusted_input import (
    fenced_lists,
    refused_pickles,
    refused_targets,
    too_many_unreadable,
    unwritable_folders,
)
from benchmarks.faults.videos import READERS, SPOILED, reader_at_fault, spoiled_lists, spoiled_videos

KINDS = ("checkpoints", "runs", "processes", "elastic", "readers", "videos", "buckets", "input")
# Number of trials of each row, and with --quick.
WRITER = (100, 2)
EPOCHS = (6, 1)
VIDEOS = (1000, 20)
LISTS = (5000, 20)
RANK = (3, 1)
JOBS = (6, 1)
CHECKPOINTS = {torn: (200, 20), changed: (500, 20)}
RUNS = {
    killed: (12, 1),
    terminated: (6, 1),
    disk_full: (6, 1),
    resumed_from_spoiled: (4, 1),
    exploded: (4, 1),
    skipped: (3, 1),
}
INPUT = {
    refused_targets: (4000, 50),
    refused_pickles: (500, 20),
    fenced_lists: (5000, 100),
    too_many_unreadable: (6, 2),
    unwritable_folders: (3, 1),
}


def outcomes(quick: bool, kinds: Sequence[str]) -> Iterator[Outcome]:
    """Yields the rows of these kinds."""
    with tempfile.TemporaryDirectory() as folder:
        if "checkpoints" in kinds:
            yield killed_while_writing(WRITER[quick])
        if {"checkpoints", "runs", "processes"} & set(kinds):
            runs = SmallRuns(Path(folder))
        for row, trials in CHECKPOINTS.items() if "checkpoints" in kinds else ():
            yield row(trials[quick], runs.whole)
        for row, trials in RUNS.items() if "runs" in kinds else ():
            yield row(trials[quick], runs)
        if "processes" in kinds:
            yield preempted(JOBS[quick], runs)
            pairs = SmallRuns(Path(folder, "pairs"), *PAIR)
            yield from (lost(RANK[quick], pairs, rank) for rank in RANKS)
    if "elastic" in kinds:
        yield lost_and_returned()
    if "readers" in kinds:
        yield from (reader_at_fault(EPOCHS[quick], fault) for fault in READERS)
    if "videos" in kinds:
        yield from (spoiled_videos(VIDEOS[quick], story) for story in SPOILED)
        yield spoiled_lists(LISTS[quick])
    if "buckets" in kinds:
        yield from buckets(quick)
    for row, trials in INPUT.items() if "input" in kinds else ():
        yield row(trials[quick])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("kinds", nargs="*", default=KINDS, help=f"some of {', '.join(KINDS)}; others are unchanged")
    parser.add_argument("--quick", action="store_true", help="one or two trials of each; writes nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "FAULTS.md")
    options = parser.parse_args()
    if unknown := sorted(set(options.kinds) - set(KINDS)):
        parser.error(f"expected some of {', '.join(KINDS)}, got {', '.join(unknown)}")
    torch.set_num_threads(1)
    logging.getLogger("tbe").setLevel(logging.ERROR)  # thousands of videos are listed in their tables
    began, rows = time.monotonic(), []
    for row in outcomes(options.quick, options.kinds):
        rows.append(row)
        if not options.quick:
            write([row], machine(), options.out)  # written at once, in case a later one fails
        print(
            f"{time.monotonic() - began:.0f} s: {row.fault}, {row.trials}: {row.happened}; lost: {row.lost}", flush=True
        )
    print(markdown(rows))


if __name__ == "__main__":
    main()
