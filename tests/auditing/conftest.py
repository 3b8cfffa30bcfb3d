"""Small drawn videos whose class is told by the background, by the actor's size, and by the way the actor moves."""

import functools

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from tbe.augment import CenterCrop, ClipAugment
from tbe.data.clip_samplers import UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import make_records
from tbe.data.views import LabeledClips
from tbe.evaluation.tasks.base import Evaluation

CLASSES, FRAMES, SIDE = 4, 9, 32
STEPS = ((0, 2), (0, -2), (2, 0), (-2, 0))  # rows and columns a frame, by class
COUNTS = {"train": 6, "test": 4}  # videos of a class


@functools.cache
def drawn(split, label, number):
    """One video: frames uint8 (T, 3, S, S), and the actor's masks (T, S, S)."""
    rng = np.random.default_rng((len(split), label, number))
    frames = np.zeros((FRAMES, 3, SIDE, SIDE), np.uint8)
    frames[:, 1], frames[:, 2] = 40 * label + rng.integers(8), 160 - 40 * label + rng.integers(8)
    masks = np.zeros((FRAMES, SIDE, SIDE), bool)
    side = 4 + 2 * label
    for time in range(FRAMES):
        row, column = (SIDE // 2 - side // 2 + (time - FRAMES // 2) * step for step in STEPS[label])
        masks[time, row : row + side, column : column + side] = True
    frames[:, 0][masks], frames[:, 1][masks], frames[:, 2][masks] = 255, 0, 0
    return frames, masks


class Drawn(VideoSource):
    """Videos that are drawn when they are opened; `known`: whether their actors are."""

    name, num_classes = "drawn", CLASSES

    def __init__(self, known=True, counts=COUNTS):
        self.known = known
        self.counts = counts

    def has(self, split):
        return split in self.counts

    def records(self, split):
        labels = [label for label in range(CLASSES) for _ in range(self.counts[split])]
        paths = [f"{split}/{label}/{index}" for index, label in enumerate(labels)]
        return make_records("", paths, labels, [0] * len(labels))

    def scenes(self, split):
        return torch.from_numpy(self.records(split).labels)

    def foreground(self, split, index, frames):
        label = int(self.records(split).labels[index])
        return drawn(split, label, index)[1][frames] if self.known else None


class Open:
    """Opens a drawn video."""

    def __init__(self, path):
        split, label, number = path.split("/")
        self.pictures = torch.from_numpy(drawn(split, int(label), int(number))[0])

    def __len__(self):
        return len(self.pictures)

    def frames(self, indices):
        return self.pictures[torch.as_tensor(list(indices))]


class Background(nn.Module):
    """Reads the color of the corner, where no actor comes."""

    def forward(self, clips):
        return clips[:, :, :, :2, :2].mean(dim=(2, 3, 4))


class Actor(nn.Module):
    """Reads how large the red square is."""

    def forward(self, clips):
        sizes = (4.0 + 2 * torch.arange(CLASSES)) ** 2
        return (red(clips).sum(dim=(2, 3)).mean(dim=1, keepdim=True) - sizes).abs().lt(1).float()


class Motion(nn.Module):
    """Reads which way the red square moves."""

    def forward(self, clips):
        mass, places = red(clips), torch.arange(SIDE, dtype=torch.float32)
        total = mass.sum(dim=(2, 3)).clamp_min(1e-6)
        rows, columns = ((mass.sum(dim=axis) * places).sum(dim=2) / total for axis in (3, 2))
        return torch.stack([(line[:, -1] - line[:, 0]).sign() for line in (rows, columns)], dim=1)


def red(clips):
    """Where clips (B, 3, T, S, S) are red: (B, T, S, S)."""
    return ((clips[:, 0] > 0.9) & (clips[:, 1:].amax(dim=1) < 0.1)).float()


@pytest.fixture
def asked(tmp_path):
    """asked(network) evaluates a network of drawn videos."""

    def make(network, source=None, classifier=None, name="net", batch_size=8):
        augment = ClipAugment(SIDE, CenterCrop(1.0), flip=0.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        take = UniformClips(num_frames=8, num_clips=2)
        opened = functools.partial(Open)
        opened.worker_context = lambda path: None
        data = VideoDataModule(source or Drawn(), opened, take, LabeledClips(augment), batch_size, num_workers=0)
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        trainer = pl.Trainer(logger=False, accelerator="cpu", devices=1, default_root_dir=tmp_path, **quiet)
        return Evaluation(name, network, classifier, data, trainer, "train", ["test"], tmp_path, origin="drawn")

    return make
