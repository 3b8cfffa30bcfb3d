"""What several processes keep of batches, made one."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tbe.distributed import all_reduce_mean_, broadcast_from_rank0, gather, rank, world_size

KEY = "statistics"  # of a checkpoint


class SharedStatistics(pl.Callback):
    """Starts all processes with the same buffers; averages what batch norms saw before it is used or saved.

    In place of DDP's `broadcast_buffers`, which sends all buffers at every step, a queue of keys too. That queue gets
    the same keys everywhere. Training normalises by the batch: running means and variances matter in validation, and
    to who reads the checkpoint of an epoch. A checkpoint within an epoch has those of every process, under
    `statistics` (processes, numbers), for as many processes to go on with.
    """

    def __init__(self) -> None:
        self.loaded: Tensor | None = None

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        ours = _statistics(module)
        if world_size() > 1 and ours:
            checkpoint[KEY] = gather(torch.cat([buffer.flatten() for buffer in ours]).unsqueeze(0))

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
        average_statistics(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        average_statistics(module)


def average_statistics(module: nn.Module) -> None:
    """Gives all batch norms the mean of the running means and variances of all processes."""
    all_reduce_mean_(_statistics(module))


def _statistics(module: nn.Module) -> list[Tensor]:
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    return [buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()]
