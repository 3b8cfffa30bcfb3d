"""Synchronizes the buffers of several training processes."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tbe.distributed import all_reduce_mean_, broadcast_from_rank0, gather, rank, world_size

KEY = "statistics"  # the key in a checkpoint


class SharedStatistics(pl.Callback):
    """Broadcasts buffers at the start and averages batch norm statistics over processes before they are used or saved.

    Replaces DDP's `broadcast_buffers`, which sends all buffers at every step, the key queue included; that queue
    receives the same keys on all processes anyway. Training normalizes by batch statistics, so running means and
    variances matter only in validation and in checkpoints. A checkpoint saved within an epoch holds those of every
    process, under `statistics` (processes, numbers), to resume with the same number of processes.
    """

    def __init__(self) -> None:
        self.loaded: Tensor | None = None

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        ours = _statistics(module)
        if world_size() > 1 and ours:
            # After training Lightning has moved the module to the CPU, whose tensors NCCL does not take.
            device = trainer.strategy.root_device
            checkpoint[KEY] = gather(torch.cat([buffer.flatten() for buffer in ours]).unsqueeze(0).to(device))

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.loaded = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        broadcast_from_rank0(module.buffers())
        if self.loaded is not None and len(self.loaded) == world_size():
            ours = _statistics(module)
            parts = self.loaded[rank()].split([buffer.numel() for buffer in ours])
            for buffer, part in zip(ours, parts, strict=True):
                buffer.copy_(part.view_as(buffer))

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _average_all(trainer, module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _average_all(trainer, module)


def _average_all(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Averages the statistics of a module, and those of a moving average of it (callbacks=[..., ema])."""
    averages = [getattr(callback, "_average_model", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    for part in [module, *averages]:
        if part is not None:
            average_statistics(part)


def average_statistics(module: nn.Module) -> None:
    """Averages the running means and variances of all batch norms over all processes, in place."""
    all_reduce_mean_(_statistics(module))


def _statistics(module: nn.Module) -> list[Tensor]:
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    return [buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()]
