"""The middle clips of some videos, with masks of the actor where the data set knows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tbe.data.datamodule import VideoDataModule
from tbe.data.dataset import VideoDataset, collate, pad
from tbe.data.sampling import ShardSampler


class MaskedVideos(Dataset):
    """Items of a VideoDataset at these indices; with `foreground`, uint8 (N, T, 1, H, W), 255 where the actor is.

    known: index of a video and numbers (n,) of its frames -> bool (n, H, W), or None.
    """

    def __init__(self, videos: VideoDataset, indices: np.ndarray, known: Callable | None):
        self.videos = videos
        self.indices = indices
        self.known = known

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Any]:
        index = int(self.indices[number])
        item = dict(self.videos[index])
        masks = self.known(index, item["frames"].flatten().tolist()) if self.known else None
        if masks is not None:
            levels = 255 * torch.as_tensor(masks).unsqueeze(1).float()
            levels = F.interpolate(levels, item["clips"].shape[-2:], mode="area")  # as the pictures were reduced
            item["foreground"] = levels.round().byte().unflatten(0, item["frames"].shape)
        return item

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Items as a batch, as the views of an evaluation take it."""
        masks = [item.pop("foreground") for item in items if "foreground" in item]
        return collate(items) | ({"foreground": pad(masks)[0]} if masks else {})


def middle_clips(data: VideoDataModule, split: str, indices: np.ndarray, rank: int, world_size: int) -> DataLoader:
    """A loader of this process's share of these videos of a split, one clip each."""
    one_clip = dataclasses.replace(data.eval_clips, num_clips=1)
    videos = VideoDataset(data.source.records(split), data.open_video, one_clip, data.short_side)
    foreground = getattr(data.source, "foreground", None)
    known = None if foreground is None else lambda index, frames: foreground(split, index, frames)
    masked = MaskedVideos(videos, indices, known)
    return DataLoader(
        masked,
        batch_size=data.eval_batch_size,
        sampler=ShardSampler(len(masked), rank, world_size),
        collate_fn=MaskedVideos.collate,
        num_workers=data.num_workers,
        timeout=data.timeout if data.num_workers else 0,
        multiprocessing_context=data.open_video.worker_context(videos.path(0)) if data.num_workers else None,
    )
