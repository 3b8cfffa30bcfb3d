"""Faults of a bucket and of the disk that keeps what was read of it, in epochs of small videos."""

from __future__ import annotations

import csv
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import tbe.prepare.__main__ as prepare
from benchmarks.common.bucket import Bucket, half, late, serving
from benchmarks.faults.report import Outcome
from benchmarks.faults.videos import whole_videos
from tbe.data.clip_samplers import RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.epoch_samplers import EpochSampler
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.fault_tolerance.quarantine import Quarantine
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.records import Records, read_list, write_list
from tbe.data.sources.video_root import VideoRoot
from tbe.data.storage.bucket import BucketSettings, CacheSettings
from tbe.data.storage.retrying import StoreRefused

NUM_VIDEOS, WORKERS = 12, 2
SETTINGS = BucketSettings(timeout=2, patience=60, ahead=2)
SHORT = BucketSettings(timeout=20, patience=1, ahead=2)
SMALL_FILES = 100  # bytes


class Place(NamedTuple):
    """Shards of small videos in a bucket, and a folder for what is kept of them."""

    bucket: Bucket
    shards: Path
    records: Records
    cache: Path

    def asked(self, settings: BucketSettings = SETTINGS) -> Records:
        """Returns the records, read with these settings."""
        root = VideoRoot("s3://bucket/shards", settings, CacheSettings(str(self.cache), 1))
        return root.located(self.records)


class Epoch(NamedTuple):
    """The numbers of the videos of an epoch that came, and those named in quarantine.csv with the reason."""

    came: set[str]
    named: dict[str, str]


@contextmanager
def place() -> Iterator[Place]:
    """Puts shards of twelve small videos into a bucket."""
    with tempfile.TemporaryDirectory() as name, serving() as bucket:
        folder = Path(name)
        contents = list(whole_videos(folder).values())
        (folder / "videos").mkdir()
        names = [f"{number}{('.mp4', '.avi', '.mkv')[number % 3]}" for number in range(NUM_VIDEOS)]
        for number, file in enumerate(names):
            (folder / "videos" / file).write_bytes(contents[number % 3])
        write_list(folder / "train.txt", [(file, 0, 20) for file in names])
        sources = ["--root", folder / "videos", "--list", folder / "train.txt", "--out", folder / "shards"]
        prepare.main(["shards", *map(str, sources), "--size", "0.00005", "--workers", "1"])
        bucket.put_folder(folder / "shards", "shards")
        records = read_list(folder / "train.txt", "s3://bucket/shards")
        yield Place(bucket, folder / "shards", records, folder / "cache")


def epoch(records: Records, folder: Path, seed: int) -> Epoch:
    """Reads a clip of each video with two workers, as pretraining does, and quarantines what fails."""
    videos = FaultTolerantDataset(VideoDataset(records, PyAvReader(), RandomClip(4, 2)), 60, replaces=True)
    sampler = ReplayedSampler(EpochSampler(len(records), seed=seed, batch_size=2))
    loader = FaultTolerantLoader(videos, batch_size=2, sampler=sampler, num_workers=WORKERS, collate_fn=videos.collate)
    quarantine = Quarantine(folder / f"quarantine_{seed}_{time.monotonic_ns()}.csv")
    came: set[str] = set()
    for batch in loader:
        came |= {records.path(index) for index in batch["index"].tolist()}
        quarantine.add(batch["faults"])
    if not quarantine.file.exists():
        return Epoch(came, {})
    with quarantine.file.open(newline="", encoding="utf-8") as rows:
        return Epoch(came, {row["path"]: row["reason"] for row in csv.DictReader(rows)})


def shaky(trials: int, there: Place) -> Outcome:
    """Answers a part of the requests with errors, late, or with half of what was asked for."""
    found, num_faults = [], 0
    records = there.asked()
    for trial in range(trials):
        chance = Random(trial)
        hits = [0]

        def answer(request: str, chance: Random = chance, hits: list[int] = hits) -> Any:
            if not request.endswith(".tar") or chance.random() > 0.4:
                return None
            hits[0] += 1
            return chance.choice([(500, "InternalError"), (503, "SlowDown"), half, late(3)])

        there.bucket.fault = answer
        _clear(there.cache)
        found.append(epoch(records, there.shards, trial))
        num_faults += hits[0]
    came, named = sum(len(one.came) for one in found), sum(len(one.named) for one in found)
    return _outcome(
        "a bucket answers two of five requests with an error (500, 503), too late, or with half of what was asked for",
        trials,
        f"{num_faults} such answers; {came} of {trials * NUM_VIDEOS} videos came, {named} named in quarantine.csv",
        trials * NUM_VIDEOS - came,
    )


def refused(trials: int, there: Place) -> Outcome:
    """Lets the credentials expire within an epoch, and renews them."""

    def answer(request: str, left: list[int]) -> Any:
        left[0] -= request.endswith(".tar")
        return (403, "ExpiredToken") if left[0] < 0 else None

    return _stopped(trials, there, "the credentials of a bucket expire in an epoch", answer, "Renew the credentials")


def silent(trials: int, there: Place) -> Outcome:
    """Lets the bucket answer with errors alone from some request of an epoch on."""

    def answer(request: str, left: list[int]) -> Any:
        left[0] -= request.endswith(".tar")
        return (500, "InternalError") if left[0] < 0 else None

    return _stopped(
        trials, there, "a bucket answers with errors for good (`data.bucket.patience=1`)", answer, "for 1 s"
    )


def _stopped(trials: int, there: Place, story: str, answer: Callable[[str, list[int]], Any], says: str) -> Outcome:
    """Reads epochs until they end with one line, and again once the fault is over."""
    clear = again = named = 0
    records = there.asked(SHORT)
    for trial in range(trials):
        left = [Random(trial).randrange(NUM_VIDEOS // 2)]
        there.bucket.fault = lambda request, left=left: answer(request, left)
        _clear(there.cache)
        try:
            epoch(records, there.shards, trial)
        except StoreRefused as error:
            clear += says in str(error) and "resume=latest" in str(error)
        there.bucket.fault = lambda request: None
        found = epoch(there.asked(), there.shards, trial)
        again += len(found.came) == NUM_VIDEOS
        named += len(found.named)
    happened = (
        f'{clear} ended with one line ("{says}"); {named} videos named in quarantine.csv; all came in {again} then'
    )
    return _outcome(story, trials, happened, trials - again)


def replaced(trials: int, there: Place) -> Outcome:
    """Replaces a shard by one of other bytes, or removes it, between the index and an epoch."""
    right = missed = 0
    for trial in range(trials):
        chance, records = Random(trial), there.asked()
        shards = sorted(there.shards.glob("*.tar"))
        victim = chance.choice(shards)
        lost = {
            records.path(index)
            for index in range(NUM_VIDEOS)
            if records.places is not None and records.places.piece(index).file == victim.name
        }
        if trial % 2:
            there.bucket.delete(f"shards/{victim.name}")
        else:
            content = bytearray(victim.read_bytes())
            there.bucket.put(f"shards/{victim.name}", bytes(byte ^ 1 for byte in content))
        _clear(there.cache)
        found = epoch(records, there.shards, trial)
        right += set(found.named) == lost
        missed += NUM_VIDEOS - len(lost) - len(found.came - lost)
        there.bucket.put(f"shards/{victim.name}", victim.read_bytes())
    happened = (
        f"its videos, and no others, named in quarantine.csv in {right}; {missed} of the other videos did not come"
    )
    return _outcome("a shard is replaced by another, or removed, after it was indexed", trials, happened, missed)


def killed_downloading(trials: int, there: Place) -> Outcome:
    """Kills a process with SIGKILL at a random moment while it reads and keeps all videos."""
    whole = 0
    records = there.asked()
    expected = [records.to_open(index).content for index in range(NUM_VIDEOS)]  # type: ignore[union-attr]
    for trial in range(trials):
        _clear(there.cache)
        if (child := os.fork()) == 0:
            for index in range(NUM_VIDEOS):
                records.to_open(index)
            os._exit(0)
        time.sleep(Random(trial).uniform(0.3, 1.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = [records.to_open(index).content for index in range(NUM_VIDEOS)]  # type: ignore[union-attr]
        whole += found == expected
    happened = f"all {NUM_VIDEOS} videos were read whole afterwards, from the cache or again, in {whole}"
    return _outcome(
        "a process is killed (SIGKILL) while it reads videos of a bucket and keeps them",
        trials,
        happened,
        trials - whole,
    )


def disk_full_of_cache(trials: int, there: Place) -> Outcome:
    """Limits the size of the files that may be written below that of a video, in processes of their own."""
    import resource

    came = 0
    records = there.asked()
    for _ in range(trials):
        _clear(there.cache)
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILES, SMALL_FILES))
            read = [records.to_open(index) for index in range(NUM_VIDEOS)]
            os._exit(len(read))
        came += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    happened = f"{came} of {trials * NUM_VIDEOS} videos came"
    return _outcome("the cache of a bucket can't be written", trials, happened, trials * NUM_VIDEOS - came)


def _clear(cache: Path) -> None:
    """Removes the videos that are kept."""
    for file in (cache / "videos").glob("??/*"):
        file.unlink()


def _outcome(story: str, trials: int, happened: str, num_lost: int) -> Outcome:
    return Outcome(story, trials, happened, "nothing" if not num_lost else f"**{num_lost}**")


def buckets(quick: bool) -> Iterator[Outcome]:
    """Yields the rows of buckets."""
    with place() as there:
        for row, trials in ROWS.items():
            there.bucket.fault = lambda request: None
            yield row(trials[quick], there)


ROWS = {
    shaky: (4, 1),
    refused: (4, 1),
    silent: (4, 1),
    replaced: (6, 2),
    killed_downloading: (12, 1),
    disk_full_of_cache: (4, 1),
}
