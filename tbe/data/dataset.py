"""The dataset of raw video clips, and their collation into batches."""

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
    """The clips of one video as a worker returns them: decoded pixels; only the choice of frames is random."""

    clips: Tensor  # uint8 (N, T, C, H, W)
    frames: Tensor  # int64 (N, T): frame numbers in the video
    label: int
    index: int  # position of the video in the records


class VideoDataset(Dataset):
    """A dataset of decoded video clips, no larger than needed.

    A key is (index, draw), where draw seeds the choice of frames, so that the same pair gives the same frames in any
    worker of any run; or the index alone, for deterministic samplers.
    Frames whose short side exceeds `short_side` are downscaled to it, antialiased; smaller ones are left as they are.
    """

    def __init__(self, records: Records, open_video: OpenVideo, sampler: ClipSampler, short_side: int | None = None):
        self.records = records
        self.open_video = reducing(open_video, short_side)
        self.sampler = sampler
        self.short_side = short_side

    @staticmethod
    def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collates items into a batch, as the function `collate` does."""
        return collate(items)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        index, draw = key if isinstance(key, tuple) else (key, None)
        generator = None if draw is None else Generator().manual_seed(draw)
        clips, frames = self.clips(index, self.sampler, generator)
        return {"clips": clips, "frames": frames, "label": int(self.records.labels[index]), "index": int(index)}

    def path(self, index: int) -> str:
        """Returns the path of a video."""
        return self.records.path(index)

    def prefetch(self, keys: Sequence[int | tuple[int, int]]) -> None:
        """Begins to read the videos of these keys, where they lie elsewhere than on disk, in the background."""
        self.records.prefetch([key[0] if isinstance(key, tuple) else key for key in keys])

    def wait(self, index: int) -> None:
        """Waits for a video that lies elsewhere; whether it could be read is known when it is opened."""
        self.records.wait(index)

    def clips(self, index: int, sampler: ClipSampler, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Returns the clips of a video that `sampler` draws, uint8 (N, T, C, H, W), and their frame numbers (N, T)."""
        video = self.open_video(self.records.to_open(index))
        indices = sampler(len(video), generator)
        frames = shrink(video.frames(indices.flatten().tolist()), self.short_side)
        return frames.unflatten(0, indices.shape), indices


def shrink(frames: Tensor, short_side: int | None) -> Tensor:
    """Downscales frames (n, C, H, W) to a short side of at most `short_side`, keeping their aspect ratio."""
    height, width = frames.shape[-2:]
    if short_side is None or min(height, width) <= short_side:
        return frames
    return pictures.resize(frames, list(reduced_size(height, width, short_side)), antialias=True)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Collates items: `clips` uint8 (B, N, T, C, H, W), padded, their `size` int64 (B, 2), and the rest stacked."""
    clips, sizes = pad([item["clips"] for item in items])
    rest = default_collate([{name: value for name, value in item.items() if name != "clips"} for item in items])
    return {"clips": clips, "size": sizes, **rest}


def pad(pictures: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stacks pictures (..., C, H, W), padded at the right and bottom to the largest; also returns sizes, int64 (n, 2).

    Memory is channels-last, as readers return it: converting would take twice as long, and augmentation reorders it
    anyway.
    """
    sizes = torch.tensor([picture.shape[-2:] for picture in pictures])
    *leading, channels, _, _ = pictures[0].shape
    shape = (len(pictures), *leading, *sizes.amax(dim=0).tolist(), channels)
    padded = pictures[0].new_zeros(shape).movedim(-1, -3)
    for target, picture in zip(padded, pictures, strict=True):
        target[..., : picture.shape[-2], : picture.shape[-1]] = picture
    return padded, sizes
