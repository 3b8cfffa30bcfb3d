"""Video faults: readers that hang or crash, and corrupt files and lists."""

from __future__ import annotations

import csv
import ctypes
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from benchmarks.faults.corrupt import begun_as_another, doubled, flipped, truncated, with_a_hole
from benchmarks.faults.report import Outcome
from tbe.data.clip_samplers import RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.epoch_samplers import EpochSampler
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.fault_tolerance.quarantine import Quarantine
from tbe.data.readers import OpenVideo, VideoReader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import make_records, read_list
from tbe.data.video_writer import write_video

KINDS = {"0.mp4": "libx264", "1.avi": "mpeg4", "2.mkv": "libx264"}
SPOILED = {
    "bytes of videos are others": flipped,
    "videos are cut": truncated,
    "bytes of videos are missing": with_a_hole,
    "bytes of videos come twice": doubled,
    "videos have the head of another": begun_as_another,
}
PATIENCE = 20.0  # timeout of a reader in seconds
READERS = {  # fault -> description, timeout in seconds
    "hangs": ("a reader hangs with Python's lock (`datamodule.read_timeout=1`)", 1.0),
    "crashes": ("a reader crashes its worker (SIGSEGV)", PATIENCE),
    "is killed": ("a worker is killed once while it reads (SIGKILL)", PATIENCE),
}


class FaultyReader:
    """Reads like AutoReader, but has a fault of `READERS` at one path: hangs, or kills its process always or once."""

    def __init__(self, path: str, fault: str):
        self.reader = AutoReader("cpu")
        self.path = path
        self.fault = fault

    def __call__(self, path: str) -> VideoReader:
        if path == self.path:
            if self.fault == "hangs":
                ctypes.PyDLL(None).sleep(100)
            before = Path(path).with_suffix(".met")
            if self.fault == "crashes" or not before.exists():
                before.touch()
                os.kill(os.getpid(), signal.SIGSEGV if self.fault == "crashes" else signal.SIGKILL)
        return self.reader(path)

    def worker_context(self, path: str) -> None:
        return None


class Epoch(NamedTuple):
    """The videos of an epoch by path: requested, read, and listed in quarantine.csv with the reason."""

    asked: set[str]
    came: set[str]
    named: dict[str, str]
    seconds: float

    @property
    def unaccounted(self) -> int:
        """Returns how many were requested but neither read nor listed."""
        return len(self.asked - self.came - self.named.keys())


def epoch(root: Path, names: Sequence[str], open_video: OpenVideo, seconds: float, seed: int = 0) -> Epoch:
    """Reads a clip of each video with two workers, as pretraining does, and quarantines what fails."""
    records = make_records(root, names, [0] * len(names), [0] * len(names))
    videos = FaultTolerantDataset(VideoDataset(records, open_video, RandomClip(4, 2)), seconds, replaces=True)
    sampler = ReplayedSampler(EpochSampler(len(names), seed=seed, batch_size=2))
    loader = FaultTolerantLoader(videos, batch_size=2, sampler=sampler, num_workers=2, collate_fn=videos.collate)
    quarantine, began = Quarantine(root / "quarantine.csv"), time.monotonic()
    given: set[str] = set()
    replaced: set[str] = set()
    for batch in loader:
        given |= {records.path(index) for index in batch["index"].tolist()}
        quarantine.add(batch["faults"])
        replaced |= {pair[0] for pair in batch["replaced"]}
    named: dict[str, str] = {}
    if quarantine.file.exists():
        with quarantine.file.open(newline="", encoding="utf-8") as rows:
            named = {row["path"]: row["reason"] for row in csv.DictReader(rows)}
    return Epoch(
        {records.path(index) for index in range(len(names))}, given - replaced, named, time.monotonic() - began
    )


def whole_videos(folder: Path) -> dict[str, bytes]:
    """Returns the content of small files: H.264 and MPEG-4 in mp4, avi and mkv."""
    frames = np.random.default_rng(0).integers(0, 255, (20, 32, 40, 3), dtype=np.uint8)
    for name, codec in KINDS.items():
        write_video(folder / name, frames, fps=25, codec=codec)
    return {name: (folder / name).read_bytes() for name in KINDS}


def reader_at_fault(trials: int, fault: str) -> Outcome:
    """Reads epochs of twelve videos with a reader fault at one of them, a different one each time."""
    story, seconds = READERS[fault]
    chance, others, named, reasons, slowest = Random(2), 0, 0, set(), 0.0
    for trial in range(trials):
        with tempfile.TemporaryDirectory() as name:
            folder, contents = Path(name), list(whole_videos(Path(name)).values())
            names = [f"{number}{Path(list(KINDS)[number % 3]).suffix}" for number in range(12)]
            for number, file in enumerate(names):
                (folder / file).write_bytes(contents[number % 3])
            victim = str(folder / chance.choice(names))
            with _silence():
                found = epoch(folder, names, FaultyReader(victim, fault), seconds, seed=trial)
        others += len(found.came - {victim})
        named += set(found.named) == {victim}
        reasons |= {reason.partition(": ")[2] for reason in found.named.values()}
        slowest = max(slowest, found.seconds)
    said = f'named in quarantine.csv in {named} ("{", ".join(sorted(reasons))}")' if reasons else "named in none"
    happened = f"the video {said}; {others} of {11 * trials} other videos came; the epoch took {slowest:.1f} s at most"
    lost = "one video" if named else "nothing"
    return Outcome(story, trials, happened, lost if others == 11 * trials else f"**{11 * trials - others} videos**")


def spoiled_videos(trials: int, story: str) -> Outcome:
    """Reads videos with one kind of corruption as in pretraining."""
    chance, spoil = Random(story), SPOILED[story]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = whole_videos(folder)
        others: dict[str, Any] = {"others": list(whole.values())} if spoil is begun_as_another else {}
        names = [f"spoiled_{number}{Path(list(whole)[number % 3]).suffix}" for number in range(trials)]
        for number, file in enumerate(names):
            (folder / file).write_bytes(spoil(list(whole.values())[number % 3], chance, **others))
        with _silence():
            found = epoch(folder, names, AutoReader("cpu"), PATIENCE)
    hung = sum("it took longer than" in reason for reason in found.named.values())
    crashed = sum("it ended its worker" in reason for reason in found.named.values())
    happened = (
        f"{len(found.came):,} decoded, {len(found.named):,} named in quarantine.csv, "
        f"{found.unaccounted} unaccounted for; {crashed} crashed a worker, {hung} hung"
    )
    lost = f"{len(found.asked - found.came):,} videos, each named"
    return Outcome(f"{story} (mp4, avi, mkv)", trials, happened, lost if not found.unaccounted else "**videos**")


def spoiled_lists(trials: int) -> Outcome:
    """Reads corrupt lists of forty videos."""
    chance, read, refused, odd = Random(3), 0, 0, 0
    rows = [f"class {number % 7}/video_{number}.mp4 {number % 7} {number + 1}" for number in range(40)]
    content = "\n".join(rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train.txt")
        for _ in range(trials):
            file.write_bytes(chance.choice([flipped, truncated, with_a_hole, doubled])(content, chance))
            try:
                records = read_list(file, folder)
                read += len(records) > 0
            except ValueError as error:
                refused += str(file) in str(error)
            except Exception:  # any other error of a list is counted
                odd += 1
    happened = (
        f"{read:,} read, as what now stands in them; {refused:,} refused with one error that names the file; {odd} "
        "other errors"
    )
    lost = "nothing" if read + refused == trials else f"**{trials - read - refused} lists**"
    return Outcome("bytes of lists of videos are others, missing or twice", trials, happened, lost)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppresses the output of decoders and dying workers, which grows with the number of faults."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
