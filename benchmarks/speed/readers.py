"""Readers of videos against decord, clip by clip: `python -m benchmarks.speed.readers`.

Each reader opens a file, takes the frames of one clip somewhere in it, and closes it, as loader workers do. The files
are drawn for it: XviD-like AVI 320x240, H.264 340x256 with a key frame every 12 and every 250 frames, H.264 1080p, and
the JPEG folder of the second; the last one also with pictures that are reduced to a short side of 128, after decoding
or while. Above 1 a reader is faster than decord.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torchvision.io import write_jpeg

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn
from tbe.data.dataset import shrink
from tbe.data.readers import DecordReader, FrameFolderReader, OpenVideo
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.decode_resize import pays, reducing
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.torchcodec_reader import TorchCodecReader
from tbe.data.video_writer import write_video


class Kind(NamedTuple):
    """A kind of file: its name, (height, width), codec, and frames between key frames."""

    file: str
    size: tuple[int, int]
    codec: str
    gop: int


KINDS = (
    Kind("xvid_320x240.avi", (240, 320), "mpeg4", 12),
    Kind("h264_gop12_340x256.mp4", (256, 340), "libx264", 12),
    Kind("h264_gop250_340x256.mp4", (256, 340), "libx264", 250),
    Kind("h264_1080p.mp4", (1080, 1920), "libx264", 48),
)
CLIPS = {"16 frames at stride 4": (16, 4), "64 at stride 1": (64, 1)}
SHORT_SIDE = 128


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Ratios decord / reader for each kind of file and clip; `quick` only checks that it runs."""
    kinds, num_frames, rounds = (KINDS[1:2], 40, 1) if quick else (KINDS, 300, 15)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            frames = scenery(kind.size, num_frames)
            path = str(Path(folder, kind.file))
            write_video(path, frames, fps=30, codec=kind.codec, gop=kind.gop)
            opened: dict[str, OpenVideo] = {**readers(), "auto": AutoReader()}
            paths = dict.fromkeys(opened, path)
            if kind.file.startswith("h264_gop12"):
                opened["frame folder"], paths["frame folder"] = FrameFolderReader(), write_folder(path, frames)
            findings += clip_by_clip(opened, paths, kind.file, rounds)
            if pays(*kind.size, SHORT_SIDE):
                small = {name: reducing(open_video, SHORT_SIDE) for name, open_video in opened.items()}
                small["PyAV, whole"], paths["PyAV, whole"] = PyAvReader(), path
                findings += clip_by_clip(small, paths, f"{kind.file} to {SHORT_SIDE}", rounds, SHORT_SIDE)
    return findings


def clip_by_clip(
    opened: dict[str, OpenVideo], paths: dict[str, str], title: str, rounds: int, short_side: int | None = None
) -> list[Finding]:
    """Ratios decord / reader for each kind of clip."""
    findings = []
    for name, (count, stride) in CLIPS.items():
        ways = {
            reader: partial(read, open_video, paths[reader], count, stride, random.Random(0), short_side)
            for reader, open_video in opened.items()
        }
        times = in_turn(ways, rounds)
        findings += [compare(times, "decord", other, f"{title}, {name}") for other in ways if other != "decord"]
    return findings


def readers() -> dict[str, OpenVideo]:
    """Returns the installed readers."""
    found: dict[str, OpenVideo] = {"decord": DecordReader("cpu"), "PyAV": PyAvReader()}
    try:
        found["torchcodec"] = TorchCodecReader()
    except ValueError as error:
        print(f"without torchcodec: {error}")
    return found


def scenery(size: tuple[int, int], num_frames: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 of a textured picture that pans, with some noise: something to compress."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 16, width // 8, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, (height, 2 * width), mode="bicubic").clamp(0, 1)[0]
    frames = torch.empty(num_frames, height, width, 3, dtype=torch.uint8)
    for number in range(num_frames):
        start = round(number * width / num_frames)
        noise = torch.randn(height, width, 1, generator=generator) * 4
        frames[number] = (picture[:, :, start : start + width].permute(1, 2, 0) * 255 + noise).clamp(0, 255).byte()
    return frames.numpy()


def write_folder(path: str, frames: np.ndarray) -> str:
    """Writes the frames as JPEG files next to the video; returns their folder."""
    folder = Path(path).with_suffix("")
    folder.mkdir()
    for number, frame in enumerate(torch.from_numpy(frames).permute(0, 3, 1, 2), start=1):
        write_jpeg(frame, str(folder / f"img_{number:05d}.jpg"), quality=90)
    return str(folder)


def read(
    open_video: Callable,
    path: str,
    num_frames: int,
    stride: int,
    chance: random.Random,
    short_side: int | None = None,
) -> None:
    """Reads one clip at a random position, with frames no larger than needed."""
    video = open_video(path)
    start = chance.randrange(max(1, len(video) - (num_frames - 1) * stride))
    shrink(video.frames([(start + step * stride) % len(video) for step in range(num_frames)]), short_side)


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="one small file, once", threads=1)
