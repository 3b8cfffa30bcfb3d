"""A dataset for perturbations: videos with the backgrounds of other videos, actor masks and a shuffled frame order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.utils.data import Dataset

from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset, collate, pad
from tbe.data.medians import median_of_frames
from tbe.data.video_ids import video_ids
from tbe.errors import UserError

# Maps the index of a video and its frame numbers (n,) to the actor's masks, bool (n, H, W); None if unknown.
Foreground = Callable[[int, list[int]], "np.ndarray | None"]

BACKDROP_FRAMES = UniformClips(num_frames=1, num_clips=9)  # their median approximates the background
MAX_TRIES = 1000


class ContextDataset(Dataset):
    """Items of a VideoDataset with what `context` adds, `order` and, if known, `foreground`.

    order: int64 (N, T), a random permutation of each clip's frames; foreground: uint8 (N, T, 1, H, W), 255 on the
    actor. All follow from the seed and the video, whatever the batch. A batch with a foreground also has
    `foreground_known` bool (B,): false where the mask is unknown and all zeros.
    """

    def __init__(self, videos: VideoDataset, seed: int, foreground: Foreground | None = None):
        self.videos = videos
        self.seed = seed
        self.foreground = foreground

    def context(self, index: int) -> dict[str, Any]:
        """Returns what a video's item has besides, `backdrops` among it."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {**self.videos[index], **self.context(index)}
        item["order"] = frame_order(item["frames"], self.seed, index)
        add_foreground(item, index, self.foreground)
        return item

    def path(self, index: int) -> str:
        """Returns the path of a video."""
        return self.videos.path(index)

    def prefetch(self, keys: Sequence[int | tuple[int, int]]) -> None:
        """Begins to read videos, as `VideoDataset.prefetch` does."""
        self.videos.prefetch(keys)

    def wait(self, index: int) -> None:
        """Waits for a video, as `VideoDataset.wait` does."""
        self.videos.wait(index)

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Collates items, as `collate_with_context` does."""
        return collate_with_context(items)


class PerturbationDataset(ContextDataset):
    """Items with `backdrops`: two pictures uint8 (1, C, H, W), each the median of frames spread over another video.

    The second is of another class (of any, if there is only one). For the rest see `ContextDataset`.
    """

    def __init__(self, videos: VideoDataset, seed: int, foreground: Foreground | None = None):
        super().__init__(videos, seed, foreground)
        labels, ids = videos.records.labels, video_ids(videos.records)
        self.partners = [other_videos(labels, seed, another_class, ids) for another_class in (False, True)]

    def context(self, index: int) -> dict[str, Any]:
        return {"backdrops": [self._backdrop(int(partners[index])) for partners in self.partners]}

    def _backdrop(self, partner: int) -> Tensor:
        frames, _ = self.videos.clips(partner, BACKDROP_FRAMES)
        return median_of_frames(frames.squeeze(1))


def collate_with_context(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Collates items with P backdrops each: `backdrops` (B, P, 1, C, H, W), padded, and `backdrop_size` (B, P, 2).

    The foreground is collated as `pad_foreground` does, the rest as `collate` does.
    """
    pictures = [item.pop("backdrops") for item in items]
    backdrops, sizes = pad([picture for of_item in pictures for picture in of_item])
    foreground = pad_foreground(items)
    shape = (len(items), len(pictures[0]))
    surrounding = {"backdrops": backdrops.unflatten(0, shape), "backdrop_size": sizes.unflatten(0, shape)}
    return collate(items) | surrounding | foreground


def frame_order(frames: Tensor, seed: int, index: int) -> Tensor:
    """Draws a permutation of the frames of each clip (N, T) of a video: int64 (N, T)."""
    generator = Generator().manual_seed(_mixed(seed, index))
    return torch.rand(frames.shape, generator=generator).argsort(dim=1)


def add_foreground(item: dict[str, Any], index: int, foreground: Foreground | None) -> None:
    """Adds `foreground` to an item if it is known: uint8 (N, T, 1, H, W), 255 on the actor."""
    masks = foreground(index, item["frames"].flatten().tolist()) if foreground else None
    if masks is not None:
        levels = torch.as_tensor(masks).unsqueeze(1).float()
        if levels.shape[-2:] != item["clips"].shape[-2:]:
            levels = F.interpolate(levels, item["clips"].shape[-2:], mode="area")  # downscaled like the clips
        item["foreground"] = (255 * levels).round().byte().unflatten(0, item["frames"].shape)


def pad_foreground(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Removes `foreground` from items and collates it, with `foreground_known` bool (B,); {} if no item has it."""
    masks = [item.pop("foreground", None) for item in items]
    known = torch.tensor([mask is not None for mask in masks])
    if not known.any():
        return {}
    padded = [
        torch.zeros_like(item["clips"][:, :, :1]) if mask is None else mask
        for item, mask in zip(items, masks, strict=True)
    ]
    return {"foreground": pad(padded)[0], "foreground_known": known}


def other_videos(labels: np.ndarray, seed: int, another_class: bool, ids: np.ndarray | None = None) -> np.ndarray:
    """Draws another video for each, int64 (n,), uniformly; with `another_class` one of another label, if there is any.

    ids (n,): equal for rows that are the same video. Raises UserError if there are fewer than two videos.
    """
    count = len(labels)
    ids = np.arange(count) if ids is None else ids
    if count < 2 or (ids == ids[0]).all():
        raise UserError(f"expected at least two videos, to borrow another one's background, got {min(1, count)}")
    if another_class and len(np.unique(labels)) < 2:
        another_class = False
    rng = np.random.default_rng((seed, another_class))
    chosen = np.arange(count)
    wrong = np.ones(count, dtype=bool)
    for _ in range(MAX_TRIES):
        chosen[wrong] = rng.integers(count, size=wrong.sum())
        wrong = labels[chosen] == labels if another_class else ids[chosen] == ids
        if not wrong.any():
            return chosen
    # Nearly all videos are of one class: draw the rest directly from the videos of other classes.
    for index in np.flatnonzero(wrong):
        others = np.flatnonzero(labels != labels[index]) if another_class else np.flatnonzero(ids != ids[index])
        chosen[index] = others[rng.integers(len(others))]
    return chosen


def _mixed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
