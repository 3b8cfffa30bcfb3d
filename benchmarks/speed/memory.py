"""What 20,000 clips cost a loader worker in memory and open files: `python -m benchmarks.speed.memory`.

A worker reads clips of four small files, H.264 and MPEG-4 in mp4, avi and mkv, over and over, with each reader. Against
what it had after the first twentieth of them, when all libraries are loaded and all caches filled.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from statistics import median

from torch.utils.data import DataLoader, Dataset

from benchmarks.common.harness import Finding, command
from benchmarks.speed.readers import readers, scenery
from tbe.data.clip_samplers import RandomClip
from tbe.data.readers import OpenVideo
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.video_writer import write_video

FILES = {"0.mp4": "libx264", "1.avi": "mpeg4", "2.mkv": "libx264", "3.mp4": "mpeg4"}
PAGE = os.sysconf("SC_PAGE_SIZE")
BAR = "<= 1.1"


class Reads(Dataset):
    """Reads one clip per item, and returns the memory (bytes) and the number of open files of its process."""

    def __init__(self, paths: list[str], open_video: OpenVideo, count: int):
        self.paths = paths
        self.open_video = open_video
        self.count = count
        self.sampler = RandomClip(num_frames=8, stride=2)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, int]:
        video = self.open_video(self.paths[index % len(self.paths)])
        video.frames(self.sampler(len(video)).flatten().tolist())
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
        return resident, len(os.listdir("/proc/self/fd"))


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Compares memory and open files at the end with those after 5 % of the clips; quick: 200 clips."""
    count, findings = 200 if quick else 20_000, []
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in FILES]
        for path, codec in zip(paths, FILES.values(), strict=True):
            write_video(path, scenery((96, 128), 40), fps=30, codec=codec)
        for name, open_video in {**readers(), "auto": AutoReader()}.items():
            rows = list(DataLoader(Reads(paths, open_video, count), batch_size=None, num_workers=1))
            early, late = rows[count // 40 : count // 20], rows[-(count // 40) :]
            setting = f"{name}, {count:,} clips in one worker"
            for number, (what, bar) in enumerate({"resident memory": BAR, "open files": "<= 1.0"}.items()):
                before, after = ([row[number] for row in part] for part in (early, late))
                ratio = median(after) / median(before)
                spread = (min(after) / max(before), max(after) / min(before))
                findings.append(Finding(f"{what}, end / beginning", setting, ratio, *spread, bar))
    return findings


if __name__ == "__main__":
    command(__doc__, measure, quick="200 clips")
