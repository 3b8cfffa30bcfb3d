"""Training's loader on files, shards and a bucket, against decoding alone: `python -m benchmarks.speed.shards`.

Each way opens the same videos, H.264 of 340x256 and 300 frames, through the loader of training, and decodes two clips
of each, 16 frames 4 apart. `decoding alone` has them in memory; `files` are single files, `shards` tar files on disk,
both in the memory of the system; `bucket` are these shards on a server of S3 on loopback, each video asked for again
each time, and `bucket, kept` the same with the cache that holds all of them. Each worker reads four batches of four
videos in an epoch, and nothing in advance of the first.

A ratio is the share of the speed of decoding alone (`time`), and that of its processor time in the loader's own
processes, the main one and its workers (`processor`): connections, requests, signatures, copies, checksums and the
cache. The server is a small one in a process of its own (`benchmarks.common.object_server`): what it takes of the same
cores is in `time` and not in `processor`, and is told below. There is no TLS on loopback.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from torch.utils.data import Sampler

import tbe.prepare.__main__ as prepare
from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from benchmarks.common.object_server import serving_files
from benchmarks.speed.readers import scenery
from tbe.data.clip_samplers import AnchorAndNegativeClips
from tbe.data.dataset import VideoDataset
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import Records, read_list, write_list
from tbe.data.sources.video_root import VideoRoot
from tbe.data.storage.bucket import BucketSettings, CacheSettings
from tbe.data.storage.pieces import Piece
from tbe.data.video_writer import write_video

ALONE = "decoding alone"
BARS = {"files": None, "shards": ">= 0.95", "bucket": ">= 0.85", "bucket, kept": ">= 0.85"}
BATCH, BATCHES = 4, 4  # videos, and batches of each worker
GB = 10**9


class Amount(NamedTuple):
    """How much is measured."""

    num_videos: int
    num_frames: int
    rounds: int
    workers: tuple[int, ...]


# Of 12 videos in turn, none comes in two batches of a worker that follow each other, for any of these workers.
FULL, QUICK = Amount(12, 300, 10, (1, 2, 4, 8)), Amount(4, 20, 1, (1,))


@dataclass(frozen=True)
class Memory:
    """A store that has all files in memory."""

    files: Mapping[str, bytes]

    def read(self, piece: Piece) -> bytes:
        return self.files[piece.file]

    def prefetch(self, pieces: list[Piece]) -> None:
        """Does nothing."""

    def wait(self, piece: Piece) -> None:
        """Does nothing."""


class InTurn(Sampler):
    """One video after the other, `length` in an epoch, each time with other frames."""

    def __init__(self, num_videos: int, length: int):
        self.num_videos = num_videos
        self.length = length
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.epoch += 1
        return ((number % self.num_videos, self.epoch * self.length + number) for number in range(self.length))


def measure(device: str, quick: bool = False) -> Iterator[Finding | str]:
    """Measures shares of the speed of decoding alone, for 1 to 8 workers; quick: few small videos, once."""
    amount = QUICK if quick else FULL
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(serving_files())
        ways = records_of_all(folder, server.put_folder, amount)
        served, asked = 0.0, 0
        for workers in amount.workers:
            times: dict[str, list[float]] = defaultdict(list)
            processor: dict[str, list[float]] = defaultdict(list)
            for _ in range(amount.rounds):  # each with new workers: of two that do the same one can be faster for good
                epochs = {name: Epoch(records, workers) for name, records in ways.items()}
                before = processor_time([server.process])
                for name, found in in_turn(epochs, 1).items():
                    times[name] += found
                    processor[name] += epochs[name].processor[1:]  # without the warm-up
                served += processor_time([server.process]) - before
                asked += epochs["bucket"].num_videos * 2
            for kind, of_kind in {"time": times, "processor": processor}.items():
                for name, bar in BARS.items():
                    row = compare(of_kind, ALONE, name, f"{workers} workers", None if quick else bar)
                    yield row._replace(what=f"{row.what}, {kind}")
        size = sum(file.stat().st_size for file in (folder / "videos").glob("*.mp4")) / amount.num_videos
    alone = median(processor[ALONE]) / epochs[ALONE].num_videos
    yield (
        f"{os.cpu_count()} cores, which the workers share with the server and {loaded()}; a video has {size / 1e6:.2f} "
        f"MB, takes {alone * 1e3:.0f} ms of a processor to decode, and the server {served / asked * 1e3:.1f}."
    )


def records_of_all(folder: Path, put: Callable[[Path, str], str], amount: Amount) -> dict[str, Records]:
    """Returns the records of the same videos, for each way."""
    videos, shards = folder / "videos", folder / "shards"
    write_videos(videos, amount)
    size = max(file.stat().st_size for file in videos.glob("*.mp4")) * amount.num_videos / 3 / GB  # three or more
    options = ["--root", videos, "--list", videos / "train.txt", "--out", shards, "--workers", 1, "--size", size]
    prepare.main(["shards", *map(str, options)])
    address = put(shards, "shards")
    listed = read_list(videos / "train.txt", videos)
    content = {os.fsdecode(path): (videos / os.fsdecode(path)).read_bytes() for path in listed.paths}
    settings = BucketSettings()
    asked = VideoRoot(address, settings, CacheSettings(str(folder / "lists"), 1))
    store: Any = asked.store
    return {
        ALONE: replace(listed, store=Memory(content)),
        "files": listed,
        "shards": VideoRoot(str(shards)).located(listed),
        "bucket": replace(asked.located(listed), store=replace(store, cache=None)),
        "bucket, kept": asked.located(listed),
    }


class Epoch:
    """Takes all batches of an epoch from a loader with so many persistent workers; notes its processor time."""

    def __init__(self, records: Records, workers: int):
        videos = VideoDataset(records, AutoReader(), AnchorAndNegativeClips(num_frames=16, stride=4), 256)
        guarded = FaultTolerantDataset(videos, seconds=600)
        self.num_videos = BATCH * BATCHES * workers
        self.processor: list[float] = []  # seconds
        self.loader = FaultTolerantLoader(
            guarded,
            BATCH,
            sampler=ReplayedSampler(InTurn(len(records), self.num_videos)),
            num_workers=workers,
            collate_fn=guarded.collate,
            persistent_workers=True,
        )

    def __call__(self) -> None:
        before = self._spent()
        for _ in self.loader:
            pass
        self.processor.append(self._spent() - before)

    def _spent(self) -> float:
        """Returns the processor time of this process and of all workers."""
        return processor_time([os.getpid(), *(child.pid or 0 for child in multiprocessing.active_children())])


def processor_time(processes: Iterable[int]) -> float:
    """Returns the seconds that all threads of running processes have had of a processor; on Linux."""
    return sum(time.clock_gettime((~process << 3) | 2) for process in processes)  # see clock_getcpuclockid(3)


def loaded() -> str:
    """Says how many processes wanted a core in the last minutes."""
    return (
        f"whatever else ran (a load of {os.getloadavg()[2]:.0f})" if hasattr(os, "getloadavg") else "whatever else ran"
    )


def write_videos(folder: Path, amount: Amount) -> None:
    """Writes Kinetics-like files, with a key frame every 12 frames: one content, under many names."""
    folder.mkdir(parents=True)
    names = [f"{number}.mp4" for number in range(amount.num_videos)]
    write_video(folder / names[0], scenery((256, 340), amount.num_frames), fps=30)
    for name in names[1:]:
        (folder / name).write_bytes((folder / names[0]).read_bytes())
    write_list(folder / "train.txt", [(name, 0, amount.num_frames) for name in names])


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="few small videos, once", threads=1)
