"""Training's loader on files, shards and a bucket, against decoding alone: `python -m benchmarks.speed.shards`.

Each way opens the same videos, H.264 of 340x256 and 300 frames, through the loader of training, and decodes two clips
of each, 16 frames 4 apart. `decoding alone` has them in memory; `files` are single files, `shards` tar files on disk,
both in the memory of the system; `bucket` are these shards on a server of S3 on loopback (moto's, in a process of its
own), each video asked for again each time, and `bucket, kept` the same with the cache that holds all of them. A ratio
is the share of the speed of decoding alone. With as many workers as cores, the server takes its time from the workers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Sampler

import tbe.prepare.__main__ as prepare
from benchmarks.common import harness
from benchmarks.common.bucket import serving_apart
from benchmarks.common.harness import Finding, compare, in_turn
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
BATCH = 4
GB = 10**9


class Amount(NamedTuple):
    """How much is measured."""

    num_videos: int
    num_frames: int
    rounds: int
    workers: tuple[int, ...]


FULL, QUICK = Amount(8, 300, 3, (1, 2, 4, 8)), Amount(4, 20, 1, (1,))


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
        server = stack.enter_context(serving_apart())
        ways = records_of_all(folder, server.put_folder, amount)
        for workers in amount.workers:
            epochs = {name: epoch_of(records, workers) for name, records in ways.items()}
            times = in_turn(epochs, amount.rounds)
            setting = f"{workers} workers"
            for name, bar in BARS.items():
                yield compare(times, ALONE, name, setting, None if quick else bar)
        size = sum(file.stat().st_size for file in (folder / "videos").glob("*.mp4")) / amount.num_videos
    shared = f"{os.cpu_count()} cores, which the workers share with the server and {loaded()}"
    yield f"{shared}; a video has {size / 1e6:.2f} MB."


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


def epoch_of(records: Records, workers: int) -> Callable[[], None]:
    """Returns a function that takes all batches of an epoch from a loader with so many persistent workers."""
    videos = VideoDataset(records, AutoReader(), AnchorAndNegativeClips(num_frames=16, stride=4), 256)
    guarded = FaultTolerantDataset(videos, seconds=600)
    loader = FaultTolerantLoader(
        guarded,
        min(BATCH, len(records)),
        sampler=ReplayedSampler(InTurn(len(records), max(len(records), BATCH * workers))),
        num_workers=workers,
        collate_fn=guarded.collate,
        persistent_workers=True,
    )

    def epoch() -> None:
        for _ in loader:
            pass

    return epoch


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
