"""Items: raw clips of one video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import torch
import torchvision.transforms.v2.functional as pictures
from torch import Generator, Tensor
from torch.utils.data import Dataset, default_collate

from tbe.data.readers import OpenVideo
from tbe.data.readers.decode_resize import reduced_size, reducing
from tbe.data.sources.records import Records

ClipSampler = Callable[[int, "Generator | None"], Tensor]


class Item(TypedDict):
    """What a worker hands over: pixels as decoded, only which frames is random."""

    clips: Tensor  # uint8 (N, T, C, H, W)
    frames: Tensor  # int64 (N, T): their numbers in the video
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
        self.open_video = reducing(open_video, short_side)
        self.sampler = sampler
        self.short_side = short_side

    @staticmethod
    def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Items as a batch."""
        return collate(items)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        index, draw = key if isinstance(key, tuple) else (key, None)
        generator = None if draw is None else Generator().manual_seed(draw)
        clips, frames = self.clips(index, self.sampler, generator)
        return {"clips": clips, "frames": frames, "label": int(self.records.labels[index]), "index": int(index)}

    def path(self, index: int) -> str:
        """Where a video is."""
        return self.records.path(index)

    def clips(self, index: int, sampler: ClipSampler, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Clips of a video, uint8 (N, T, C, H, W), and the numbers (N, T) of their frames, as a sampler has them."""
        video = self.open_video(self.records.path_to_open(index))
        indices = sampler(len(video), generator)
        frames = shrink(video.frames(indices.flatten().tolist()), self.short_side)
        return frames.unflatten(0, indices.shape), indices


def shrink(frames: Tensor, short_side: int | None) -> Tensor:
    """Pictures (n, C, H, W) with a short side of at most this, keeping their aspect."""
    height, width = frames.shape[-2:]
    if short_side is None or min(height, width) <= short_side:
        return frames
    return pictures.resize(frames, list(reduced_size(height, width, short_side)), antialias=True)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """A batch of items: `clips` uint8 (B, N, T, C, H, W) with their `size` int64 (B, 2), the rest stacked."""
    clips, sizes = pad([item["clips"] for item in items])
    rest = default_collate([{name: value for name, value in item.items() if name != "clips"} for item in items])
    return {"clips": clips, "size": sizes, **rest}


def pad(pictures: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Pictures (..., C, H, W) stacked, padded at the right and bottom to the largest, and their sizes int64 (n, 2).

    In memory the channels of a pixel lie beside each other, as readers have them: another order would take twice as
    long, and augmentation brings them in one of its own anyway.
    """
    sizes = torch.tensor([picture.shape[-2:] for picture in pictures])
    *leading, channels, _, _ = pictures[0].shape
    shape = (len(pictures), *leading, *sizes.amax(dim=0).tolist(), channels)
    padded = pictures[0].new_zeros(shape).movedim(-1, -3)
    for place, picture in zip(padded, pictures, strict=True):
        place[..., : picture.shape[-2], : picture.shape[-1]] = picture
    return padded, sizes
