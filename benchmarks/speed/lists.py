"""A list of 250,000 videos: how fast it is read, and what it costs workers: `python -m benchmarks.speed.lists`.

Against lists of Python objects, as data sets usually keep them: their pages are copied in each forked worker, since
looking at an object counts a reference in it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from tbe.data.sources.records import read_list


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Seconds against one second, and the memory that a worker adds, against a list of objects."""
    num_videos, rounds = (5_000, 2) if quick else (250_000, 7)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train.txt")
        lines = (
            f"class_{number % 400:03d}/video_{number:08d}_000010_000020.mp4 {number % 400}"
            for number in range(num_videos)
        )
        file.write_text("\n".join(lines))
        ways = {"read_list": lambda: read_list(file, folder), "plain split": lambda: plain(file)}
        times = in_turn(ways, rounds)
        times["1 s"] = [1.0] * rounds
        records, objects = read_list(file, folder), plain(file)
        added = {
            "ours": [added_by_a_worker(records.path, len(records)) for _ in range(rounds)],
            "list of tuples": [added_by_a_worker(objects.__getitem__, len(objects)) for _ in range(rounds)],
        }
    return [
        compare(times, "read_list", "1 s", f"{num_videos:,} lines", "<= 1"),
        compare(times, "read_list", "plain split", f"{num_videos:,} lines"),
        compare(added, "list of tuples", "ours", "private memory of a forked worker that has seen all videos"),
    ]


def plain(file: Path) -> list[tuple[str, int]]:
    """Returns a list of tuples."""
    return [(path, int(label)) for path, label in (line.rsplit(" ", 1) for line in file.read_text().splitlines())]


def added_by_a_worker(look_up: Callable[[int], object], num_videos: int) -> float:
    """Returns the MB of private memory of a forked process after it has accessed each video once."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_look_all_up, args=(look_up, range(num_videos), sender))
    process.start()
    found = receiver.recv()
    process.join()
    return found


def _look_all_up(look_up: Callable[[int], object], indices: Sequence[int], sender) -> None:
    for index in indices:
        look_up(index)
    sender.send(_private_memory())


def _private_memory() -> float:
    """Returns the MB of memory that this process does not share."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1e3


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="5,000 videos, two rounds")
