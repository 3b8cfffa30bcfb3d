"""Items: raw clips of one video."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import torch
import torchvision.transforms.v2.functional as pictures
from torch import Generator, Tensor
from torch.utils.data import Dataset, default_collate

from tbe.data.readers import OpenVideo
from tbe.data.records import Records

ClipSampler = Callable[[int, "Generator | None"], Tensor]


class Item(TypedDict):
    """What a worker hands over: pixels as decoded, only which frames is random."""

    clips: Tensor  # uint8 (N, T, C, H, W)
    size: Tensor  # int64 (2,): height and width
    label: int
    index: int  # the video's place among the records


class VideoDataset(Dataset):
    """Clips of videos, decoded and made no larger than needed.

    An item is asked for by (index, draw), where draw seeds the choice of frames, so that the same pair
    gives the same frames in any worker of any run; or by the index alone, for samplers without chance.
    Pictures whose short side exceeds `short_side` are reduced to it, antialiased; smaller ones stay.
    """

    def __init__(self, records: Records, open_video: OpenVideo, sampler: ClipSampler, short_side: int | None = None):
        self.records = records
        self.open_video = open_video
        self.sampler = sampler
        self.short_side = short_side

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        index, draw = key if isinstance(key, tuple) else (key, None)
        generator = None if draw is None else Generator().manual_seed(draw)
        video = self.open_video(self.records.path(index))
        indices = self.sampler(len(video), generator)
        frames = shrink(video.frames(indices.flatten().tolist()), self.short_side)
        return {
            "clips": frames.unflatten(0, indices.shape),
            "size": torch.tensor(frames.shape[-2:]),
            "label": int(self.records.labels[index]),
            "index": int(index),
        }


def shrink(frames: Tensor, short_side: int | None) -> Tensor:
    """Pictures (n, C, H, W) with a short side of at most this, keeping their aspect."""
    if short_side is None or min(frames.shape[-2:]) <= short_side:
        return frames
    return pictures.resize(frames, [short_side], antialias=True)


def collate(items: list[Item]) -> dict[str, Tensor]:
    """A batch of items: clips uint8 (B, N, T, C, H, W), padded at the right and bottom to the largest picture."""
    sizes = torch.stack([item["size"] for item in items])
    height, width = sizes.amax(dim=0).tolist()
    batch = default_collate([{"label": item["label"], "index": item["index"]} for item in items])
    first = items[0]["clips"]
    clips = first.new_zeros(len(items), *first.shape[:3], height, width)
    for place, item in zip(clips, items, strict=True):
        place[..., : item["size"][0], : item["size"][1]] = item["clips"]
    return {"clips": clips, "size": sizes, **batch}
