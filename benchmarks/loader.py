"""Clips a second from files to augmented views, against transforms in the workers: `python benchmarks/loader.py`.

Ours decodes two clips of a video in the workers, and augments whole batches into three views where the model is. The
plain way, written here as it usually is, opens the video for each clip and puts v2 transforms of torchvision, of the
same strengths, on it in the workers. All have as many workers as there are cores. Above 1 ours is
faster.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from augment import clip_by_clip, ours
from harness import Finding, command, compare, in_turn
from readers import scenery
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tbe.data.clips import AnchorAndAnother, RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.readers import DecordReader, OpenVideo
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.records import Records, make_records
from tbe.data.video_writing import write_video
from tbe.data.views import ContrastiveViews

NUM_VIEWS = 3
SHORT_SIDES = {112: 128, 224: 256}
BARS = {"PyAV": ">= 2.5", "decord": ">= 1.5"}
BLUR = 0.5


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


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Ratios of the time for an epoch, plain / ours; `quick` for a look at whether it runs."""
    sizes, num_videos, batch, rounds = ((112,), 4, 2, 2) if quick else ((112, 224), 32, 8, 5)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        records = write_videos(Path(folder), num_videos, 80 if quick else 300)
        for size in sizes:
            ways = {"ours": epoch_of_ours(records, size, batch, device)}
            for name, open_video in {"PyAV": PyAvReader(), "decord": DecordReader("cpu")}.items():
                ways[name] = epoch_clip_by_clip(ClipByClip(records, open_video, size), batch, device)
            times = in_turn(ways, rounds)
            setting = f"16x{size}, {num_videos} videos, {batch} a batch"
            findings += [compare(times, name, "ours", setting, bar) for name, bar in BARS.items()]
    return findings


def epoch_of_ours(records: Records, size: int, batch: int, device: str) -> Callable[[], None]:
    """What makes all batches of three views."""
    videos = VideoDataset(records, AutoReader(), AnchorAndAnother(num_frames=16, stride=4), SHORT_SIDES[size])
    views = ContrastiveViews(ours(size, BLUR)).to(device)
    loader = loader_of(videos, batch, videos.collate)

    def epoch() -> None:
        for raw in loader:
            views({name: part.to(device, non_blocking=True) for name, part in raw.items()})

    return epoch


def epoch_clip_by_clip(clips: ClipByClip, batch: int, device: str) -> Callable[[], None]:
    """What makes as many clips in as many batches."""
    loader = loader_of(clips, NUM_VIEWS * batch)

    def epoch() -> None:
        for batch_of_clips in loader:
            batch_of_clips.to(device, non_blocking=True)

    return epoch


def loader_of(videos: Dataset, batch: int, collate: Callable | None = None) -> DataLoader:
    """A worker a core; they start once, and prepare nothing beyond the end of an epoch."""
    workers = os.cpu_count()
    return DataLoader(
        videos, batch, shuffle=True, drop_last=True, num_workers=workers, collate_fn=collate, persistent_workers=True
    )


def write_videos(folder: Path, num_videos: int, num_frames: int) -> Records:
    """Kinetics-like files, H.264 340x256 with a key frame every 12 frames: one content, under many names."""
    write_video(folder / "0.mp4", scenery((256, 340), num_frames), fps=30)
    names = [f"{number}.mp4" for number in range(num_videos)]
    for name in islice(names, 1, None):
        os.link(folder / "0.mp4", folder / name)
    return make_records(folder, names, [0] * num_videos, [num_frames] * num_videos)


if __name__ == "__main__":
    command(__doc__, measure, quick="few small batches, two rounds")
