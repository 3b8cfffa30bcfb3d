"""The one LightningDataModule: loaders of raw clips, and views made of them on the device."""

from __future__ import annotations

import multiprocessing
import os
import signal
from functools import partial
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

from tbe.data.dataset import ClipSampler, VideoDataset
from tbe.data.readers import OpenVideo
from tbe.data.records import Records
from tbe.data.sampling import EpochSampler, ShardSampler
from tbe.data.sources import VideoSource
from tbe.data.surroundings import SurroundedVideos

MOST_WORKERS = 8


class Videos(Protocol):
    """What a loader draws from: items by index, a `collate` of its own, and where each video is."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def path(self, index: int) -> str: ...

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Any]: ...


class VideoDataModule(pl.LightningDataModule):
    """Feeds any module: the CPU decodes uint8 clips in workers, the device augments whole batches.

    eval_clips, train_clips: which frames; eval_views, train_views: raw batch -> what the module consumes; those of
    training only where there is any.
    batch_size counts videos a process. val_splits: the loaders of validation, in this order, each with at most
    val_limit videos spread evenly over its split; a source without one of them is not validated.
    num_workers: a process, null for one a core (at most 8). timeout: seconds to wait for a batch before
    giving up on a stuck decoder. Everything random follows from `seed`, the epoch and the video.
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
        timeout: float = 300,
        pin_memory: bool | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
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
        self.timeout = timeout
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.seed = seed
        self.predict_split = "test"
        self.surrounded = False  # whether videos to predict come with what probes need beside them
        self._train_batches: int | None = None  # of a whole epoch, known once its loader has been made

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
        return self._loader(self._videos(records, self.train_clips), sampler, self.batch_size, persistent=True)

    def training_batches(self) -> int:
        """Batches of an epoch on this process."""
        if self._train_batches is None:
            self.train_dataloader()
        batches, limit = self._train_batches, self.trainer.limit_train_batches
        return max(1, min(batches, limit) if isinstance(limit, int) else int(batches * limit))

    def training_position(self) -> tuple[int, int]:
        """The epoch that is trained next, and how many of its videos this process has trained on.

        Lightning makes the iterator of a resumed run when it has read its counters but not yet moved on from an
        epoch that was complete.
        """
        epoch, batches = self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return (epoch + 1, 0) if batches >= self.training_batches() else (epoch, batches * self.batch_size)

    def val_dataloader(self) -> list[DataLoader]:
        if not all(self.source.has(split) for split in self.val_splits):
            return []
        return [self.eval_dataloader(split, self.val_limit) for split in self.val_splits]

    def predict_dataloader(self) -> DataLoader:
        """All videos of `predict_split`; `surrounded` ones with the masks of a source that has them."""
        videos = self._videos(self.source.records(self.predict_split), self.eval_clips)
        if self.surrounded:
            masks = getattr(self.source, "foreground", None)
            videos = SurroundedVideos(videos, self.seed, partial(masks, self.predict_split) if masks else None)
        return self.shared_loader(videos, self.trainer.global_rank, self.trainer.world_size)

    def eval_dataloader(self, split: str, limit: int | None = None) -> DataLoader:
        """All videos of a split, or `limit` spread evenly over it, in order; this process's share of them."""
        records = self.source.records(split)
        if limit is not None and limit < len(records):
            records = records.select(np.linspace(0, len(records) - 1, limit).round().astype(np.int64))
        videos = self._videos(records, self.eval_clips)
        return self.shared_loader(videos, self.trainer.global_rank, self.trainer.world_size)

    def shared_loader(self, videos: Videos, rank: int, world_size: int) -> DataLoader:
        """A loader for evaluation of one process's share of videos: each video once, in order."""
        sampler = ShardSampler(len(videos), rank, world_size)
        return self._loader(videos, sampler, self.eval_batch_size, persistent=False)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if self.trainer.training:
            # The chance of a step (augmentation, erasing, dropout) is a function of what it trains on, so that
            # a resumed run draws what an uninterrupted one would have drawn, and processes draw differently.
            seed = np.random.SeedSequence((self.seed, self.trainer.current_epoch, int(batch["index"][0])))
            torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        views = self.train_views if self.trainer.training else self.eval_views
        return views(batch)

    def _videos(self, records: Records, clips: ClipSampler) -> VideoDataset:
        return VideoDataset(records, self.open_video, clips, self.short_side)

    def _loader(self, videos: Videos, sampler: Sampler, batch_size: int, persistent: bool) -> DataLoader:
        workers = self.num_workers
        return DataLoader(
            videos,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=videos.collate,
            worker_init_fn=_leave_ctrl_c_to_the_run,
            pin_memory=self.pin_memory,
            persistent_workers=persistent and workers > 0,
            timeout=self.timeout if workers else 0,
            multiprocessing_context=self._worker_context(videos.path(0)) if workers else None,
        )

    def _worker_context(self, path: str) -> str | None:
        context = self.open_video.worker_context(path)
        known = multiprocessing.get_all_start_methods()  # the platform's own first
        # Launchers of sweeps (joblib) leave their jobs with a start method of their own, which loaders can't use.
        return known[0] if context is None and multiprocessing.get_start_method() not in known else context


def _leave_ctrl_c_to_the_run(worker: int) -> None:
    """A terminal's Ctrl-C reaches the workers too: they go on, for the run to finish its batch and save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _available_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores)
