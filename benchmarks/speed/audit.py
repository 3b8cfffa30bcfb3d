"""An audit against the forward passes that it needs: `python -m benchmarks.speed.audit`.

All changed clips of videos of the embedded data set: reading, places, masks, swaps, mixtures and the forward passes,
against the same number of forward passes on clips that lie in memory. On a GPU seconds, by a ResNet3D-18; on a CPU the
processor's time, reading included, by a ResNet3D-18 of half its width, a VideoMAE of width 192 and 6 layers, and, for
what is added to any forward pass, the network `tiny`, all with random weights. Peak memory is all that a process of its
own takes, with torch, the network and the clips of one batch. Reading configs, which a command does once, is not in it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
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

MODELS = ("r3d_18", "videomae", "tiny")
SMALL = "tiny"  # so fast that it sees four times the videos: a trainer's start takes as long as some of them
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
BAR = "<= 1.15"
BATCH = 4  # videos, with one clip each
PEAK = """
from benchmarks.speed.audit import Setting, ways
ways(Setting("{model}", {videos}, {size}, {frames}, "{device}", {root!r}))["{way}"]()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


class Setting:
    """The network, how many videos of which clips, and where they are drawn."""

    def __init__(self, model: str, videos: int, size: int, frames: int, device: str, root: str):
        self.model = model
        self.videos, self.size, self.frames, self.device = videos, size, frames, device
        self.source = BiasedScenes(root, num_train=1, num_val=1, num_test=videos, num_frames=2 * frames, size=size)
        self.source.prepare()
        torch.manual_seed(0)
        self.network: nn.Module = _network(model, size, frames, device).eval()
        self.reader = build("reader", "auto")  # from its config, which a command reads once

    def __str__(self) -> str:
        clips = len(all_clips(WEIGHTS))
        clip = f"{self.frames}x{self.size}x{self.size}"
        return f"{self.model}, {self.videos} videos, {clips} clips each, {clip}, {self.device}"


def measure(device: str, quick: bool = False) -> Iterator[Finding]:
    """Compares time and peak memory; quick: few small clips by a small network."""
    videos, size, frames, rounds = (4, 32, 4, 2) if quick else (16, 112, 16, 3) if device == "cuda" else (4, 112, 8, 2)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)
    models = (SMALL,) if quick else MODELS[:1] if device == "cuda" else MODELS
    for model in models:
        with tempfile.TemporaryDirectory() as root:
            several = 1 if quick or model != SMALL else 4
            setting = Setting(model, several * videos, size, frames, device, root)
            yield from _of(setting, rounds, root, None if quick else BAR)


def _of(setting: Setting, rounds: int, root: str, bar: str | None) -> Iterator[Finding]:
    """Yields the findings of one network."""
    found = ways(setting)
    is_cpu = setting.device == "cpu"
    clock = time.process_time if is_cpu else time.perf_counter
    times = in_turn(found, rounds, warm_up=int(not is_cpu or setting.model == SMALL), clock=clock)
    one = compare(times, "audit", "forward passes", str(setting), bar)
    yield one._replace(what=f"processor time of {one.what}") if is_cpu else one
    if is_cpu:
        names = ("model", "videos", "size", "frames", "device")
        ours, bare = (_peak(**{name: getattr(setting, name) for name in names}, root=root, way=way) for way in found)
        ratio = ours / bare
        yield Finding("peak memory of audit / forward passes", str(setting), ratio, ratio, ratio, bar)


def _network(model: str, size: int, frames: int, device: str) -> nn.Module:
    """Returns a network from clips (B, C, T, H, W) to features (B, F), with random weights."""
    if model == "r3d_18":
        return build("backbone", "r3d_18", width=64 if device == "cuda" else 32)
    return _VideoMAE(size, frames) if model == "videomae" else build("backbone", "tiny")


class _VideoMAE(nn.Module):
    """A small VideoMAE of transformers, whose features are the mean of its tokens."""

    def __init__(self, size: int, frames: int):
        super().__init__()
        from transformers import VideoMAEConfig, VideoMAEModel

        shape = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3, "intermediate_size": 768}
        self.model = VideoMAEModel(VideoMAEConfig(image_size=size, num_frames=frames, **shape))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.model(clips.transpose(1, 2)).last_hidden_state
        return tokens.mean(dim=1)


def ways(setting: Setting) -> dict[str, Callable[[], None]]:
    """Returns the audit's pass over the videos, and the bare forward passes."""
    return {"audit": partial(ask, setting), "forward passes": partial(forward, setting)}


def ask(setting: Setting) -> None:
    """Computes the features of all changed clips of all videos, from their files."""
    mean, std = (0.45,) * 3, (0.22,) * 3
    made = Preprocessing(setting.frames, 2, setting.size, mean, std, crop=1.0)
    take, reader = UniformClips(setting.frames, 2, num_clips=1), setting.reader
    num_workers = int(setting.device == "cuda")  # on a CPU reading is work of the same processor
    data = VideoDataModule(setting.source, reader, take, nn.Identity(), BATCH, num_workers=num_workers)
    make_clips_for(made, data, 1)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with tempfile.TemporaryDirectory() as folder:
        accelerator = "gpu" if setting.device == "cuda" else "cpu"
        trainer = pl.Trainer(accelerator=accelerator, devices=1, logger=False, default_root_dir=folder, **quiet)  # type: ignore[arg-type]  # of booleans
        evaluation = Evaluation(setting.model, setting.network, None, data, trainer, "train", ["iid"], Path(folder))  # type: ignore[arg-type]
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
