"""What several processes keep of batches, made one."""

from __future__ import annotations

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tbe.distributed import average, share_first


class SharedStatistics(pl.Callback):
    """Starts all processes with the same buffers; averages what batch norms saw before it is used or saved.

    In place of DDP's `broadcast_buffers`, which sends all buffers at every step, a queue of keys too. That queue gets
    the same keys everywhere. Training normalises by the batch: running means and variances matter in validation, and
    to who reads the checkpoint of an epoch. A run that is interrupted saves those of its first process.
    """

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        share_first(module.buffers())

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        average_statistics(module)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        average_statistics(module)


def average_statistics(module: nn.Module) -> None:
    """Gives all batch norms the mean of the running means and variances of all processes."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    average([buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()])
