"""The LightningDataModule: loads raw clips on the CPU and turns them into views on the device."""

from __future__ import annotations

import copy
import dataclasses
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tbe.data.clip_samplers import AnchorAndNegativeClips, UniformClips
from tbe.data.dataset import ClipSampler, VideoDataset
from tbe.data.epoch_samplers import EpochSampler, ShardSampler
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.fault_tolerance.quarantine import Quarantine, ReadableVideos
from tbe.data.perturbation_dataset import Foreground
from tbe.data.readers import OpenVideo
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import UNLABELED, Records
from tbe.data.views import ContrastiveViews
from tbe.distributed import seed_common
from tbe.errors import UserError

log = logging.getLogger(__name__)

MAX_WORKERS = 8
ON_ERROR = ("raise", "skip")

Part = TypeVar("Part")


class Videos(Protocol):
    """A dataset as a loader uses it: items by index, their `collate`, and the path of each video."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    def path(self, index: int) -> str: ...

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Any]: ...


AddContext = Callable[[VideoDataset, int, Foreground], Videos]


class VideoDataModule(pl.LightningDataModule):
    """Feeds any module: CPU workers decode uint8 clips, the device augments whole batches.

    eval_clips, train_clips: samplers of frames. eval_views, train_views: turn a raw batch into what the module
    consumes. train_clips and train_views are needed for training only.
    batch_size: videos per process. val_splits: splits to validate on, in this order, each with at most val_limit videos
    spread evenly over it; validation is skipped if the source lacks one of them, and of a gallery and queries if all
    have one label.
    num_workers: per process, null for one per core (at most 8). read_timeout: seconds after which a worker gives up on
    a video. on_error: 'raise' for an unreadable video, or 'skip': training and validation replace it by another draw,
    `quarantine` (a csv file) records it, and measurements leave out the recorded videos. max_failed: the share of
    unreadable videos above which the run ends. All randomness follows from `seed`, the epoch and the video.
    """

    def __init__(
        self,
        source: VideoSource,
        open_video: OpenVideo,
        eval_clips: ClipSampler,
        eval_views: nn.Module,
        batch_size: int,
        train_clips: ClipSampler | None = None,
        train_views: nn.Module | None = None,
        eval_batch_size: int | None = None,
        short_side: int | None = None,
        val_splits: tuple[str, ...] = ("val",),
        val_limit: int | None = None,
        num_workers: int | None = None,
        pin_memory: bool | None = None,
        seed: int = 0,
        read_timeout: float = 60,
        on_error: str = "raise",
        quarantine: str = "quarantine.csv",
        max_failed: float = 0.05,
    ):
        super().__init__()
        if on_error not in ON_ERROR:
            raise UserError(f"on_error: expected one of {', '.join(ON_ERROR)}, got {on_error!r}")
        if batch_size < 1:
            raise UserError(f"batch_size: expected at least 1, got {batch_size}")
        if not isinstance(source, VideoSource):
            raise UserError(
                f"data: expected a tbe.data.sources.base.VideoSource, got {type(source).__name__}: subclass it"
            )
        self.source = source
        self.open_video = open_video
        self.train_clips, self.eval_clips = train_clips, eval_clips
        self.train_views, self.eval_views = train_views, eval_views
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.short_side = short_side
        self.val_splits = tuple(val_splits)
        self.val_limit = val_limit
        self.num_workers = _available_cores() if num_workers is None else num_workers
        self.pin_memory = pin_memory
        self.seed = seed
        self.read_timeout = read_timeout
        self.quarantine = Quarantine(quarantine, max_failed) if on_error == "skip" else None
        # A list may be edited while a run goes on, so loaders and those who ask about them share one reading of it.
        self.val_records: dict[str, Records] = {}  # per validation loader, in the order of its batches' indices
        self.val_scenes: dict[str, Tensor | None] = {}  # of these records, where the data has scenes
        self._train_batches = 0  # in a whole epoch; 0 until the loader exists

    def for_views(self, views: Sequence[str]) -> VideoDataModule:
        """Returns a data module whose contrastive training has these views, and decodes only the clips they need.

        The anchor's frames stay the same as when another clip is drawn with it.
        """
        other = copy.copy(self)
        if isinstance(self.train_views, ContrastiveViews):
            other.train_views = ContrastiveViews(self.train_views.augment, views)
        if isinstance(self.train_clips, AnchorAndNegativeClips) and "negative" not in views:
            other.train_clips = self.train_clips.anchor()
        return other

    def for_measuring(self, num_clips: int) -> VideoDataModule:
        """Returns a data module with `num_clips` per evaluated video, without the videos that this run can't read."""
        other = copy.copy(self)
        if self.quarantine:
            other.source = ReadableVideos(self.source, self.quarantine)
        sampler: Any = self.eval_clips
        other.eval_clips = dataclasses.replace(sampler, num_clips=num_clips)
        return other

    def prepare_data(self) -> None:
        self.source.prepare()

    def train_dataloader(self) -> DataLoader:
        records = self.source.records("train")
        sampler = EpochSampler(
            len(records),
            self.seed,
            self.batch_size,
            self.trainer.global_rank,
            self.trainer.world_size,
            position=self.training_position,
        )
        self._train_batches = len(sampler) // self.batch_size
        videos = self._videos(records, _required(self.train_clips, "train_clips"))
        return self._loader(videos, sampler, self.batch_size, persistent=True, records=records)

    def training_batches(self) -> int:
        """Returns the number of batches per epoch on this process."""
        if not self._train_batches:
            self.train_dataloader()
        batches, limit = self._train_batches, self.trainer.limit_train_batches
        return max(1, min(batches, limit) if isinstance(limit, int) else int(batches * limit))

    def training_position(self) -> tuple[int, int]:
        """Returns the epoch to train next, and how many of its videos this process has already trained on.

        On resume, Lightning creates the iterator after it has restored its counters, but before it moves on from an
        epoch that was complete.
        """
        epoch, batches = self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return (epoch + 1, 0) if batches >= self.training_batches() else (epoch, batches * self.batch_size)

    def val_dataloader(self) -> list[DataLoader]:
        missing = [split for split in self.val_splits if not self.source.has(split)]
        if missing:
            if self.trainer.global_rank == 0:
                log.warning(
                    "data=%s: no videos in %s, so validation is skipped (without a val list, a share data.val_share of "
                    "each class with two or more videos is held out)",
                    self.source.name,
                    ", ".join(missing),
                )
            return []
        if len(self.val_splits) > 1 and self._is_of_one_class():
            if self.trainer.global_rank == 0:
                log.warning(
                    "data=%s: all videos of %s have one label, so validation is skipped: their neighbors would always "
                    "be right, and the first network the best",
                    self.source.name,
                    " and ".join(self.val_splits),
                )
            return []
        return [self._val_dataloader(split) for split in self.val_splits]

    def _is_of_one_class(self) -> bool:
        """Returns whether there is nothing to tell apart in validation, as in videos without labels."""
        return len(np.unique(np.concatenate([self.source.records(split).labels for split in self.val_splits]))) < 2

    def foreground(self, split: str) -> Foreground:
        """Returns the masks of a split's actors as a function of the video's index and its frame numbers."""
        return partial(self.source.foreground, split)

    def split_loader(self, split: str, rank: int, world_size: int, add_context: AddContext | None = None) -> DataLoader:
        """Returns an evaluation loader of one process's share of a split (see `shared_loader`).

        add_context: turns the videos into those with what perturbations need, such as `PerturbationDataset`.
        """
        plain = self._videos(self.source.records(split), self.eval_clips)
        videos: Videos = plain if add_context is None else add_context(plain, self.seed, self.foreground(split))
        return self.shared_loader(videos, rank, world_size)

    def _val_dataloader(self, split: str) -> DataLoader:
        """Returns a loader of this process's share of a split: all videos in order, or `val_limit` spread evenly.

        With more processes than videos, the surplus processes repeat a video, as in `shared_loader`, but without its
        label, so that it is not counted twice.
        """
        records, scenes = self.source.records(split), self.source.scenes(split)
        if self.val_limit is not None and self.val_limit < len(records):
            chosen = np.linspace(0, len(records) - 1, self.val_limit).round().astype(np.int64)
            records, scenes = records.select(chosen), None if scenes is None else scenes[chosen]
        self.val_records[split], self.val_scenes[split] = records, scenes
        sampler = _shard(len(records), self.trainer.global_rank, self.trainer.world_size)
        if self.trainer.global_rank >= len(records):
            records = dataclasses.replace(records, labels=np.full_like(records.labels, UNLABELED))
        videos = self._videos(records, self.eval_clips)
        return self._loader(videos, sampler, self.eval_batch_size, persistent=False, records=records)

    def shared_loader(self, videos: Videos, rank: int, world_size: int) -> DataLoader:
        """Returns an evaluation loader of one process's share of the videos: each video once, in order.

        With more processes than videos, the surplus processes repeat a video: collective operations need them all.
        """
        sampler = _shard(len(videos), rank, world_size)
        return self._loader(videos, sampler, self.eval_batch_size, persistent=False)

    def frames(self, records: Records, count: int, short_side: int) -> Iterator[Tensor]:
        """Yields `count` frames spread over each video, in order, for display: uint8 (count, C, H, W).

        Frames are read like clips: by workers with a read timeout.
        """
        spread = UniformClips(num_frames=1, num_clips=count)
        for batch in self.shared_loader(VideoDataset(records, self.open_video, spread, short_side), 0, 1):
            for clips, (height, width) in zip(batch["clips"], batch["size"].tolist(), strict=True):
                yield clips[:, 0, :, :height, :width]

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if "faults" in batch:
            self._record_faults(batch)
        if self.trainer.training:
            # The randomness of a step (augmentation, erasing, dropout) is a function of its batch, so that
            # a resumed run draws what an uninterrupted one would have drawn, and processes draw differently.
            epoch, batches = self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
            torch.manual_seed(_seed(self.seed, epoch, int(batch["index"][0])))
            # What all processes must draw alike depends on nothing that only one of them knows.
            seed_common(_seed(self.seed, epoch, batches, 1))
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        views = _required(self.train_views, "train_views") if self.trainer.training else self.eval_views
        return views(batch)

    def _videos(self, records: Records, clips: ClipSampler) -> VideoDataset:
        return VideoDataset(records, self.open_video, clips, self.short_side)

    def _loader(
        self,
        videos: Videos,
        sampler: EpochSampler | ShardSampler,
        batch_size: int,
        persistent: bool,
        records: Records | None = None,
    ) -> DataLoader:
        """Returns a loader of these videos that replaces unreadable ones if `records` are given."""
        workers = self.num_workers
        known = self.quarantine.holds(records) if self.quarantine and records is not None else None
        note = self.quarantine.add if self.quarantine else None
        reader = type(self.open_video).__name__
        guarded = FaultTolerantDataset(videos, self.read_timeout, known is not None, known, reader, note)
        return FaultTolerantLoader(
            guarded,
            batch_size=batch_size,
            sampler=ReplayedSampler(sampler),
            num_workers=workers,
            collate_fn=guarded.collate,
            worker_init_fn=_ignore_ctrl_c,
            pin_memory=self._is_for_gpu() if self.pin_memory is None else self.pin_memory,
            persistent_workers=persistent and workers > 0,
            multiprocessing_context=self._worker_context(videos.path(0)) if workers else None,
        )

    def _record_faults(self, batch: dict[str, Any]) -> None:
        """Records the unreadable videos of a training or validation batch, and their replacements."""
        self.quarantine.add(batch.pop("faults"))
        self.quarantine.replaced(self.trainer.current_epoch, batch.pop("replaced"))
        self.quarantine.check(len(batch["index"]))

    def _is_for_gpu(self) -> bool:
        """Returns whether batches go to a GPU: pinned memory is of use for that alone, and takes a GPU's context."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _worker_context(self, path: str) -> str | None:
        context = self.open_video.worker_context(path)
        known = multiprocessing.get_all_start_methods()  # the platform's own first
        # Sweep launchers (joblib) give their jobs a start method of their own, which loaders can't use.
        return known[0] if context is None and multiprocessing.get_start_method() not in known else context


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _shard(num_videos: int, rank: int, world_size: int) -> ShardSampler:
    num_shards = max(1, min(world_size, num_videos))
    return ShardSampler(num_videos, rank % num_shards, num_shards)


def _required(part: Part | None, name: str) -> Part:
    if part is None:
        raise UserError(f"data.{name}: expected a value, which training needs, got null")
    return part


def _ignore_ctrl_c(worker: int) -> None:
    """Makes a worker ignore a terminal's Ctrl-C, so that the run can finish its batch and save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _available_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, cores)
