"""Training from files against training on a batch that lies on the device: `python -m benchmarks.speed.input_pipeline`.

Workers decode two clips a video from files of 256x340, every fourth frame, and make them smaller, as the recipes have
it; copying to the device, augmentation and step are those of a run. What the loader has prepared is used up before the
clock starts, and as much is taken three times over. A ratio is the time of a step from files over that of a step from
the device: at 1 the files cost nothing. Measured with as many workers as it should take, by the speed of one, and with
one a core. Folders of JPEG frames need no further packages; H.264 is measured too where there is PyAV.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch.utils.data import Sampler
from torchvision.io import write_jpeg

from benchmarks.common import harness
from benchmarks.common.harness import Finding
from benchmarks.speed.augment import BLUR, ours
from benchmarks.speed.step_variants import CASES, QUICK, Case, OurStep, Switches
from tbe.data.clip_samplers import AnchorAndNegativeClips
from tbe.data.dataset import VideoDataset
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.readers import FrameFolderReader, OpenVideo
from tbe.data.sources.records import Records, make_records
from tbe.data.views import ContrastiveViews

SWITCHES = {"cuda": Switches(channels_last=True, bf16=True, fused=True), "cpu": Switches(channels_last=True)}
SIZE, STRIDE = (256, 340), 4  # of the files, and of the clips
LIMIT = 1.11  # 90 % of the speed
SHARED_MEMORY = Path("/dev/shm")


class Files(NamedTuple):
    """Videos of one kind, and their reader."""

    kind: str
    open_video: OpenVideo
    records: Records


class Training(NamedTuple):
    """A step with its augmentation, and its loader with these settings."""

    case: Case
    device: str
    step: OurStep
    views: ContrastiveViews
    seconds: float  # for each measurement

    def on(self, batch: dict[str, Any]) -> None:
        self.step.views = self.views(batch)
        self.step()


def measure(device: str, quick: bool = False, seconds: float = 12) -> Iterator[Finding]:
    """Measures the first case of a device; quick: a tiny one with one worker."""
    torch.backends.cudnn.benchmark = True
    case = QUICK if quick else next(iter(CASES[device].values()))
    step, views = OurStep(case, device, SWITCHES[device]), ContrastiveViews(ours(case.size, BLUR, fused=True))
    training = Training(case, device, step, views, 0.1 if quick else seconds)
    most = most_workers(case, 1 if quick else cores())
    with tempfile.TemporaryDirectory() as folder:
        for files in written(Path(folder), case.batch, 12 if quick else 80, with_h264=not quick):
            yield from of_files(training, files, most)


def of_files(training: Training, files: Files, most: int) -> list[Finding]:
    """Measures with the estimated number of workers and with `most`; the bar is for the fewest that keep up."""
    resident = from_the_device(training)
    rate = videos_a_second(training, files)
    needed = math.ceil(training.case.batch / (resident * LIMIT) / rate)
    found = []
    for workers in sorted({min(needed, most), most}):
        times = from_files(training, files, workers)
        resident = (resident + from_the_device(training)) / 2
        ratios = [each / resident for each in times]
        setting = (
            f"{files.kind} of {SIZE[0]}x{SIZE[1]}, {training.case.batch} videos a step, {workers} workers; "
            f"by the speed of one, {2 * rate:.0f} clips a second, it takes {needed}"
        )
        ratio = sum(ratios) / len(ratios)
        found.append(Finding("from files / from the device", setting, ratio, min(ratios), max(ratios)))
    if training.device == "cuda":
        best = next((number for number, row in enumerate(found) if row.ratio <= LIMIT), len(found) - 1)
        found[best] = found[best]._replace(bar=f"<= {LIMIT}")
    return found


def from_the_device(training: Training) -> float:
    """Returns the seconds of a step on a batch on the device."""
    batch = training.case.raw(training.device)
    for _ in range(2):
        training.on(dict(batch))
    return _mean_seconds(lambda: training.on(dict(batch)), 20, training)


def from_files(training: Training, files: Files, workers: int) -> list[float]:
    """Returns the seconds of a step in each third of the time."""
    batches = _batches(training, files, workers, training.case.batch)
    buffer = 2 * workers + 2
    for _ in range(buffer):
        next(batches)
    return [_mean_seconds(lambda: training.on(next(batches)), buffer, training, share=1 / 3) for _ in range(3)]


def videos_a_second(training: Training, files: Files) -> float:
    """Returns the videos per second that one worker decodes alone."""
    batch = min(4, training.case.batch)
    batches = _batches(training, files, workers=1, batch=batch)
    for _ in range(4):
        next(batches)
    return batch / _mean_seconds(lambda: next(batches), 100, training, share=1 / 3)


def _mean_seconds(work: Callable[[], Any], times: int, training: Training, share: float = 1.0) -> float:
    """Returns the mean seconds over a number of repetitions, limited by time."""
    start, done = perf_counter(), 0
    while done < times and (not done or perf_counter() - start < share * training.seconds):
        work()
        done += 1
    if training.device == "cuda":
        torch.cuda.synchronize()
    return (perf_counter() - start) / done


def _batches(training: Training, files: Files, workers: int, batch: int) -> Iterator[dict[str, Any]]:
    """Yields raw batches on the device from a loader like that of a run."""
    clips = AnchorAndNegativeClips(num_frames=training.case.num_frames, stride=STRIDE)
    videos = VideoDataset(files.records, files.open_video, clips, short_side=training.case.source[0])
    guarded = FaultTolerantDataset(videos, seconds=60)
    loader = FaultTolerantLoader(
        guarded,
        batch,
        sampler=ReplayedSampler(_InTurn(len(videos), 1000 * batch)),
        num_workers=workers,
        collate_fn=guarded.collate,
        pin_memory=training.device == "cuda",
    )
    for raw in loader:
        yield {name: part.to(training.device, non_blocking=True) for name, part in raw.items()}


class _InTurn(Sampler):
    """One video after the other, so many in all, each time with other frames."""

    def __init__(self, num_videos: int, length: int):
        self.num_videos = num_videos
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((number % self.num_videos, number) for number in range(self.length))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_workers(case: Case, most: int) -> int:
    """As many, or fewer where their batches would not fit into shared memory: two a worker, and two on their way."""
    if not SHARED_MEMORY.is_dir():
        return most
    room = shutil.disk_usage(SHARED_MEMORY).free
    batch = case.batch * 2 * case.num_frames * 3 * case.source[0] * case.source[1]
    fitting = (room // batch - 2) // 2
    if fitting < 1:
        raise RuntimeError(
            f"feeding: expected room for 4 batches of {batch / 1e6:.0f} MB in {SHARED_MEMORY}, got {room}"
        )
    if fitting < most:
        print(f"feeding: {fitting} workers in place of {most}, as {SHARED_MEMORY} has {room / 1e9:.1f} GB", flush=True)
    return min(fitting, most)


def written(folder: Path, num_videos: int, length: int, with_h264: bool) -> Iterator[Files]:
    """Videos of one content under many names, for each kind of file that can be read here."""
    coarse = torch.randint(0, 256, (length, 3, SIZE[0] // 8, SIZE[1] // 8), dtype=torch.uint8)
    frames = torch.nn.functional.interpolate(coarse.float(), SIZE, mode="bilinear").byte()
    (folder / "0").mkdir()
    for number, frame in enumerate(frames):
        write_jpeg(frame, str(folder / "0" / f"img_{number:05d}.jpg"))
    yield Files("JPEG folders", FrameFolderReader(), _linked(folder, "0", num_videos, length))
    if find_spec("av") is None:
        print("feeding: without H.264, which needs PyAV")
    elif with_h264:
        from tbe.data.readers.pyav_reader import PyAvReader
        from tbe.data.video_writer import write_video

        write_video(folder / "0.mp4", frames.permute(0, 2, 3, 1).contiguous().numpy(), fps=30)
        yield Files("H.264", PyAvReader(), _linked(folder, "0.mp4", num_videos, length))


def _linked(folder: Path, first: str, num_videos: int, length: int) -> Records:
    names = [f"{number}_{first}" for number in range(num_videos)]
    for name in names:
        (folder / name).symlink_to(folder / first)
    return make_records(folder, names, [0] * num_videos, [length] * num_videos)


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="a few tiny steps, once")
