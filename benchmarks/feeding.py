"""Training from files against training on a batch that lies on the device, by workers: `python benchmarks/feeding.py`.

Workers decode two clips a video; copying to the device, augmentation and step are those of a run. A ratio is the time
of a step from files over that of a step from the device: at 1 the files cost nothing. Folders of JPEG frames need no
further packages; H.264 is measured too where there is PyAV.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from augment import BLUR, ours
from harness import Finding, command, compare, in_turn
from step_ways import CASES, QUICK, Case, OurStep, Switches
from torch.utils.data import DataLoader, Sampler
from torchvision.io import write_jpeg

from tbe.data.clips import AnchorAndAnother
from tbe.data.dataset import VideoDataset
from tbe.data.readers import FrameFolderReader, OpenVideo
from tbe.data.records import Records, make_records
from tbe.data.views import ContrastiveViews

SWITCHES = {"cuda": Switches(channels_last=True, bf16=True, fused=True), "cpu": Switches(channels_last=True)}
FRAMES = {"full": 80, "quick": 12}


def measure(device: str, quick: bool = False, rounds: int = 5, steps: int = 4) -> list[Finding]:
    """The last case of a device with 1, half and all cores as workers; quick: a tiny one with one worker, once."""
    torch.backends.cudnn.benchmark = True
    case = QUICK if quick else list(CASES[device].values())[-1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = [1] if quick else sorted({1, max(1, cores // 2), cores})
    rounds, steps, length = (1, 1, FRAMES["quick"]) if quick else (rounds, steps, FRAMES["full"])
    step, views = OurStep(case, device, SWITCHES[device]), ContrastiveViews(ours(case.size, BLUR))
    resident = case.raw(device)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, (reader, records) in _files(Path(folder), case, length, quick).items():
            for number in workers:
                fed = _batches(case, reader, records, number, device)
                ways = {
                    "from files": partial(_train, step, views, lambda fed=fed: next(fed), steps),
                    "from the device": partial(_train, step, views, lambda: dict(resident), steps),
                }
                setting = f"{kind}, {case.source[0]}x{case.source[1]}, {case.batch} videos a step, {number} workers"
                found.append(compare(in_turn(ways, rounds), *ways, setting))
                fed.close()
    return found


def _train(step: OurStep, views: ContrastiveViews, batch: Callable[[], dict[str, Any]], steps: int) -> None:
    for _ in range(steps):
        step.views = views(batch())
        step()


def _batches(case: Case, reader: OpenVideo, records: Records, workers: int, device: str) -> Iterator[dict[str, Any]]:
    """Raw batches on the device, for ever."""
    videos = VideoDataset(records, reader, AnchorAndAnother(num_frames=case.num_frames))
    loader = DataLoader(
        videos,
        case.batch,
        sampler=_Forever(len(videos)),
        num_workers=workers,
        collate_fn=videos.collate,
        pin_memory=device == "cuda",
    )
    for batch in loader:
        yield {name: part.to(device, non_blocking=True) for name, part in batch.items()}


class _Forever(Sampler):
    """Every video in turn, without end, each time with other frames."""

    def __init__(self, num_videos: int):
        self.num_videos = num_videos

    def __iter__(self) -> Iterator[tuple[int, int]]:
        number = 0
        while True:
            yield number % self.num_videos, number
            number += 1


def _files(folder: Path, case: Case, length: int, quick: bool) -> dict[str, tuple[OpenVideo, Records]]:
    """Videos of one content under as many names as a batch has, for each kind of file that can be read here."""
    height, width = case.source
    coarse = torch.randint(0, 256, (length, 3, height // 8, width // 8), dtype=torch.uint8)
    frames = torch.nn.functional.interpolate(coarse.float(), (height, width), mode="bilinear").byte()
    (folder / "0").mkdir()
    for number, frame in enumerate(frames):
        write_jpeg(frame, str(folder / "0" / f"img_{number:05d}.jpg"))
    found: dict[str, tuple[OpenVideo, Records]] = {
        "JPEG folders": (FrameFolderReader(), _linked(folder, "0", case, length))
    }
    if find_spec("av") is None:
        print("feeding: without H.264, which needs PyAV")
    elif not quick:
        from tbe.data.readers.pyav_reader import PyAvReader
        from tbe.data.video_writing import write_video

        write_video(folder / "0.mp4", frames.permute(0, 2, 3, 1).contiguous().numpy(), fps=30)
        found["H.264"] = PyAvReader(), _linked(folder, "0.mp4", case, length)
    return found


def _linked(folder: Path, first: str, case: Case, length: int) -> Records:
    names = [f"{number}_{first}" for number in range(case.batch)]
    for name in names:
        (folder / name).symlink_to(folder / first)
    return make_records(folder, names, [0] * len(names), [length] * len(names))


if __name__ == "__main__":
    command(__doc__, measure, quick="a few tiny steps, once")
