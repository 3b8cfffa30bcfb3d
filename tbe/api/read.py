"""Reads clips of single video files by the fault-tolerant loader."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tbe.backbones.preprocessing import Preprocessing
from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset
from tbe.data.epoch_samplers import ShardSampler
from tbe.data.fault_tolerance.loader import FAILED, FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.fault_tolerance.quarantine import Fault
from tbe.data.readers import DecodeError, OpenVideo
from tbe.data.sources.records import UNLABELED, make_records

BLANK = 8  # height and width of the black clips of an unreadable video


def read_clips(
    paths: Sequence[str | os.PathLike],
    preprocessing: Preprocessing,
    open_video: OpenVideo,
    num_clips: int,
    batch_size: int,
    num_workers: int,
    read_timeout: float,
    skips: bool,
) -> Iterator[dict[str, Any]]:
    """Yields batches of videos, in order: `clips` uint8 (B, N, T, C, H, W) with their `size`, and `index` (B,).

    With `skips` a batch has `faults`, the unreadable videos since the previous batch, whose clips are black; otherwise
    raises DecodeError for the first of them. `read_timeout` (seconds per video) applies only with workers.
    """
    labels = [UNLABELED] * len(paths)
    records = make_records("", [os.fspath(path) for path in paths], labels, [0] * len(paths))
    take = UniformClips(preprocessing.num_frames, preprocessing.stride, preprocessing.short, num_clips=num_clips)
    videos = VideoDataset(records, open_video, take, preprocessing.short_side)
    guarded = (
        _VideosOrBlanks(videos, preprocessing, read_timeout) if skips else FaultTolerantDataset(videos, read_timeout)
    )
    yield from FaultTolerantLoader(
        guarded,
        batch_size=batch_size,
        sampler=ReplayedSampler(ShardSampler(len(records))),
        num_workers=num_workers,
        collate_fn=guarded.collate,
        multiprocessing_context=open_video.worker_context(videos.path(0)) if num_workers else None,
    )


class _VideosOrBlanks(FaultTolerantDataset):
    """Returns clips of videos, and black clips for unreadable ones."""

    def __init__(self, videos: VideoDataset, preprocessing: Preprocessing, seconds: float):
        super().__init__(videos, seconds, replaces=True)
        self.preprocessing = preprocessing

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]  # nothing is drawn
        faults = []
        if self.state[index] != FAILED:
            try:
                return {**self._read(index, index), "faults": [], "replaced": []}
            except DecodeError as error:
                faults.append(Fault(self.path(index), str(error), error.readers))
        shape = (self.videos.sampler.num_clips, self.preprocessing.num_frames, len(self.preprocessing.mean))
        clips = torch.zeros(*shape, BLANK, BLANK, dtype=torch.uint8)
        frames = torch.zeros(shape[:2], dtype=torch.int64)
        return {"clips": clips, "frames": frames, "label": UNLABELED, "index": index, "faults": faults, "replaced": []}
