"""An audit against the forward passes that it needs: `python -m benchmarks.speed.audit`.

All changed clips of videos of the embedded data set, 112 x 112 pixels, by a ResNet3D-18, on a CPU of half its width
and of 8 in place of 16 frames: reading, places,
masks, swaps, mixtures and the forward passes, against the same number of forward passes on clips that lie in memory.
Peak memory is all that a process of its own takes, with torch, the network and the clips of one batch.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

from benchmarks.common.harness import ROOT, Finding, command, compare, in_turn
from tbe.api.build import build
from tbe.auditing.asking import swapped
from tbe.auditing.clips import all_clips
from tbe.auditing.models import make_clips_for
from tbe.backbones.preprocessing import Preprocessing
from tbe.data.biased_scenes import BiasedScenes
from tbe.data.clip_samplers import UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.evaluation.perturbations import ForegroundShare, Lenders, Perturbation
from tbe.evaluation.tasks.base import Evaluation

WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
BAR = "<= 1.15"
BATCH = 4  # videos, with one clip each
PEAK = """
from benchmarks.speed.audit import Setting, ways
ways(Setting({videos}, {size}, {frames}, "{device}", {root!r}))["{way}"]()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


class Setting:
    """How many videos of which clips, where they are drawn, and the network."""

    def __init__(self, videos: int, size: int, frames: int, device: str, root: str):
        self.videos, self.size, self.frames, self.device = videos, size, frames, device
        self.source = BiasedScenes(root, num_train=1, num_val=1, num_test=videos, num_frames=2 * frames, size=size)
        self.source.prepare()
        torch.manual_seed(0)
        width = 64 if device == "cuda" else 32
        network = build("backbone", "r3d_18", width=width) if size > 64 else build("backbone", "tiny")
        self.network: nn.Module = network.eval()

    def __str__(self) -> str:
        clips = len(all_clips(WEIGHTS))
        return f"{self.videos} videos, {clips} clips each, {self.frames}x{self.size}x{self.size}, {self.device}"


def measure(device: str, quick: bool = False) -> Iterator[Finding]:
    """Compares time and peak memory; quick: few small clips by a small network."""
    videos, size, frames, rounds = (4, 32, 4, 2) if quick else (16, 112, 16, 3) if device == "cuda" else (8, 112, 8, 2)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as root:
        setting = Setting(videos, size, frames, device, root)
        found = ways(setting)
        times = in_turn(found, rounds, warm_up=int(device == "cuda" or quick))
        yield compare(times, "audit", "forward passes", str(setting), None if quick else BAR)
        if device == "cpu":
            sizes = {"videos": videos, "size": size, "frames": frames, "device": device, "root": root}
            ours, bare = (_peak(**sizes, way=way) for way in found)
            what = "peak memory of audit / forward passes"
            ratio = ours / bare
            yield Finding(what, str(setting), ratio, ratio, ratio, None if quick else BAR)


def ways(setting: Setting) -> dict[str, Callable[[], None]]:
    """Returns the audit's pass over the videos, and the bare forward passes."""
    return {"audit": partial(ask, setting), "forward passes": partial(forward, setting)}


def ask(setting: Setting) -> None:
    """Computes the features of all changed clips of all videos, from their files."""
    mean, std = (0.45,) * 3, (0.22,) * 3
    made = Preprocessing(setting.frames, 2, setting.size, mean, std, crop=1.0)
    take, reader = UniformClips(setting.frames, 2, num_clips=1), build("reader", "auto")
    data = VideoDataModule(setting.source, reader, take, nn.Identity(), BATCH, num_workers=1)
    make_clips_for(made, data, 1)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with tempfile.TemporaryDirectory() as folder:
        accelerator = "gpu" if setting.device == "cuda" else "cpu"
        trainer = pl.Trainer(accelerator=accelerator, devices=1, logger=False, default_root_dir=folder, **quiet)  # type: ignore[arg-type]  # of booleans
        evaluation = Evaluation("r3d_18", setting.network, None, data, trainer, "train", ["iid"], Path(folder))  # type: ignore[arg-type]
        measures: dict[str, Perturbation] = {"foreground": ForegroundShare(), "lenders": Lenders()}
        asked = all_clips(WEIGHTS) | measures
        evaluation.perturbed_features("iid", asked, add_context=partial(swapped, data))


@torch.inference_mode()
def forward(setting: Setting) -> None:
    """Runs the network on as many clips, in batches of as many."""
    network = setting.network.to(setting.device)
    clips = torch.randn(BATCH, 3, setting.frames, setting.size, setting.size, device=setting.device)
    for _ in range(setting.videos // BATCH * len(all_clips(WEIGHTS))):
        network(clips)


def _peak(**values: object) -> float:
    """Returns the peak memory in KiB of a process that goes one way."""
    program = [sys.executable, "-c", PEAK.format(**values)]
    output = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return float(output.split()[-1])


if __name__ == "__main__":
    command(__doc__, measure, quick="few small clips, two rounds", threads=1)
