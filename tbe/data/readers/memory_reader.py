"""Videos that are decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tbe.data.readers.base import OpenVideo, VideoReader
from tbe.data.storage.stored_video import Video
from tbe.errors import UserError


class MemoryReader:
    """Keeps the frames of the videos that `files` reads, whole and as they were decoded, for small data sets.

    limit: GB (10^9 bytes) that one process keeps; a video that no longer fits is read from its file each time. Loader
    workers are processes of their own, each with its own memory: num_workers=0 decodes every video once in all.
    """

    def __init__(self, files: OpenVideo, limit: float = 2.0):
        if limit <= 0:
            raise UserError(f"reader.limit: expected more than 0 GB, got {limit}")
        self.files = files
        self.room = limit * 1e9
        self.kept: dict[str, Tensor] = {}

    def __call__(self, path: Video) -> VideoReader:
        name = str(path)
        if name not in self.kept:
            video = self.files(path)
            size = video.frames([0]).nbytes * len(video)
            if size > self.room:
                return video
            self.room -= size
            self.kept[name] = video.frames(range(len(video)))
        return _KeptVideo(self.kept[name])

    def worker_context(self, path: str) -> str | None:
        return self.files.worker_context(path)


@dataclass(frozen=True)
class _KeptVideo:
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def frames(self, indices: Sequence[int]) -> Tensor:
        # By rows of memory, (n, H, W, C): indexing them as (n, C, H, W) would go byte by byte.
        rows = self.pictures.movedim(1, -1).index_select(0, torch.as_tensor(list(indices), dtype=torch.long))
        return rows.movedim(-1, 1)
