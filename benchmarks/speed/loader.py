"""Clips a second from files to augmented views, against transforms in the workers: `python -m benchmarks.speed.loader`.

Ours decodes two clips of a video in the workers, and augments whole batches into three views where the model is. The
plain way, written here as it usually is, opens the video for each clip and puts v2 transforms of torchvision, of the
same strengths, on it in the workers; decord through our reader of it. All have as many workers as there are cores. Ours
gets four times as many videos, as it takes less time for each, so that the start of an epoch weighs as little: compared
are seconds a clip. Above 1 ours is faster. The last row is ours against itself, as many videos: what a method without
an extra negative saves, whose training decodes one clip and makes two views.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from benchmarks.speed.augment import clip_by_clip, ours
from benchmarks.speed.readers import scenery
from tbe.data.clip_samplers import AnchorAndNegativeClips, RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.readers import DecordReader, OpenVideo
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import Records, make_records
from tbe.data.video_writer import write_video
from tbe.data.views import ContrastiveViews

VIEWS = ("query", "key", "negative")
NUM_VIEWS = len(VIEWS)
ANCHOR = "ours without a negative"
SHORT_SIDES = {112: 128, 224: 256}
MORE = 4  # times as many videos for ours
BARS = {"PyAV": ">= 2.5", "decord": ">= 1.5"}
BLUR = 0.5


class Amount(NamedTuple):
    """How much is measured: of 112 and of 224 pixels, as torchvision takes a second for a clip of the latter."""

    size: int
    num_videos: int
    batch: int
    rounds: int


AMOUNTS = (Amount(112, num_videos=32, batch=8, rounds=5), Amount(224, num_videos=16, batch=8, rounds=3))


class ClipByClip(Dataset):
    """A transformed clip an item, (C, T, S, S): three items a video, as query, key and negative."""

    def __init__(self, records: Records, open_video: OpenVideo, size: int):
        self.records = records
        self.open_video = open_video
        self.sampler = RandomClip(num_frames=16, stride=4)
        self.transform = clip_by_clip(size, BLUR, as_float=False)

    def __len__(self) -> int:
        return NUM_VIEWS * len(self.records)

    def __getitem__(self, index: int) -> Tensor:
        video = self.open_video(self.records.path(index // NUM_VIEWS))
        clip = video.frames(self.sampler(len(video)).flatten().tolist())
        return self.transform(clip.unsqueeze(0), torch.tensor([clip.shape[-2:]]))[0]


class PlainPyAv:
    """A video through PyAV as it is usually written: from the key frame before the first picture to the last one."""

    def __init__(self, path: str):
        self.container = av.open(path)
        self.stream = self.container.streams.video[0]

    def __len__(self) -> int:
        return self.stream.frames

    def frames(self, indices: list[int]) -> Tensor:
        """Pictures uint8 (n, C, H, W)."""
        pace = 1 / (self.stream.average_rate * self.stream.time_base)
        self.container.seek(int(min(indices) * pace), stream=self.stream)
        found, last = {}, max(indices)
        for frame in self.container.decode(self.stream):
            number = round(frame.pts / pace)
            if number in indices:
                found[number] = frame.to_ndarray(format="rgb24")
            if number >= last:
                break
        self.container.close()
        return torch.from_numpy(np.stack([found[number] for number in indices])).permute(0, 3, 1, 2)


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Ratios of the time for a clip, plain / ours; `quick` for a look at whether it runs."""
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        amounts = (Amount(112, num_videos=2, batch=1, rounds=1),) if quick else AMOUNTS
        most = MORE * max(amount.num_videos for amount in amounts)
        records = write_videos(Path(folder), most, 20 if quick else 300)
        for amount in amounts:
            findings += of_size(amount, records, device)
    return findings


def of_size(amount: Amount, records: Records, device: str) -> list[Finding]:
    size, num_videos, batch, rounds = amount
    few, many = (records.select(np.arange(number)) for number in (num_videos, MORE * num_videos))
    ways = {
        "ours": epoch_of_ours(many, size, batch, device),
        ANCHOR: epoch_of_ours(many, size, batch, device, VIEWS[:2]),
    }
    for name, open_video in {"PyAV": PlainPyAv, "decord": DecordReader("cpu")}.items():
        ways[name] = epoch_clip_by_clip(ClipByClip(few, open_video, size), batch, device)
    times = in_turn(ways, rounds, warm_up=0)  # the start of the workers is little beside an epoch
    setting = f"16x{size}, {batch} videos a batch, {os.cpu_count()} workers"
    against_itself = compare(times, "ours", ANCHOR, setting)
    times["ours"] = [seconds / MORE for seconds in times["ours"]]
    return [*(compare(times, name, "ours", setting, bar) for name, bar in BARS.items()), against_itself]


def epoch_of_ours(
    records: Records, size: int, batch: int, device: str, of: tuple[str, ...] = VIEWS
) -> Callable[[], None]:
    """Returns a function that decodes and augments all batches of these views."""
    clips = AnchorAndNegativeClips(num_frames=16, stride=4)
    sampler = clips if "negative" in of else clips.anchor()
    videos = VideoDataset(records, AutoReader(), sampler, SHORT_SIDES[size])
    views = ContrastiveViews(ours(size, BLUR), of).to(device)
    loader = loader_of(videos, batch, videos.collate)

    def epoch() -> None:
        for raw in loader:
            views({name: part.to(device, non_blocking=True) for name, part in raw.items()})

    return epoch


def epoch_clip_by_clip(clips: ClipByClip, batch: int, device: str) -> Callable[[], None]:
    """Returns a function that produces as many clips in as many batches."""
    loader = loader_of(clips, NUM_VIEWS * batch)

    def epoch() -> None:
        for batch_of_clips in loader:
            batch_of_clips.to(device, non_blocking=True)

    return epoch


def loader_of(videos: Dataset, batch: int, collate: Callable | None = None) -> DataLoader:
    """Returns a loader with one persistent worker per core that does not prefetch beyond the epoch."""
    workers = os.cpu_count()
    return DataLoader(
        videos, batch, shuffle=True, drop_last=True, num_workers=workers, collate_fn=collate, persistent_workers=True
    )


def write_videos(folder: Path, num_videos: int, num_frames: int) -> Records:
    """Writes Kinetics-like files, H.264 340x256 with a key frame every 12 frames: one content, under many names."""
    write_video(folder / "0.mp4", scenery((256, 340), num_frames), fps=30)
    names = [f"{number}.mp4" for number in range(num_videos)]
    for name in islice(names, 1, None):
        os.link(folder / "0.mp4", folder / name)
    return make_records(folder, names, [0] * num_videos, [num_frames] * num_videos)


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="few small batches, once")
