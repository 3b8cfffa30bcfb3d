"""Loads the middle clips of some videos, with masks of the actor if known."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tbe.data.datamodule import VideoDataModule
from tbe.data.dataset import VideoDataset, collate
from tbe.data.perturbation_dataset import Foreground, add_foreground, pad_foreground


class MaskedVideos(Dataset):
    """Items of a VideoDataset at given indices, with a `foreground` mask as in surrounded videos."""

    def __init__(self, videos: VideoDataset, indices: np.ndarray, foreground: Foreground):
        self.videos = videos
        self.indices = indices
        self.foreground = foreground

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Any]:
        index = int(self.indices[number])
        item = dict(self.videos[index])
        add_foreground(item, index, self.foreground)
        return item

    def path(self, number: int) -> str:
        """Returns the path of a video."""
        return self.videos.path(int(self.indices[number]))

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Collates items into a batch for the evaluation views."""
        foreground = pad_foreground(items)
        return collate(items) | foreground


def middle_clips(data: VideoDataModule, split: str, indices: np.ndarray, rank: int, world_size: int) -> DataLoader:
    """Returns a loader of this process's share of the given videos of a split, one clip each."""
    sampler: Any = data.eval_clips
    one_clip = dataclasses.replace(sampler, num_clips=1)
    videos = VideoDataset(data.source.records(split), data.open_video, one_clip, data.short_side)
    masked = MaskedVideos(videos, indices, partial(data.source.foreground, split))
    return data.shared_loader(masked, rank, world_size)
