"""Loads the first batch of a training, as its first step gets it."""

from __future__ import annotations

import warnings
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from tbe.data.datamodule import VideoDataModule


class FirstBatch(pl.LightningModule):
    """Stands in for the trained module, and records one batch without learning.

    `batch` is that of the first pretraining step: the same videos, frames and augmentation. `distracted`: the views
    after the distractor, with the same random draws: in the order of that step, without other draws before.
    """

    def __init__(self, erase: nn.Module | None, views: tuple[str, ...]):
        super().__init__()
        self.automatic_optimization = False
        self.erase = erase or nn.Identity()
        self.views = views

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self.distracted: dict[str, Tensor] = {view: self.erase(batch[view].clone()).cpu() for view in self.views}
        self.batch = {name: value.cpu() if isinstance(value, Tensor) else value for name, value in batch.items()}

    def configure_optimizers(self) -> None:
        return None


def first_batch(
    datamodule: VideoDataModule, accelerator: str, erase: nn.Module | None, views: tuple[str, ...]
) -> FirstBatch:
    """Loads and augments the first batch, on one device."""
    watcher = FirstBatch(erase, views)
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=1,
        limit_train_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():  # about a module that neither learns nor validates
        warnings.filterwarnings("ignore", message=".*val_dataloader.* have no `validation_step`.*")
        warnings.filterwarnings("ignore", message=".*will run with no optimizer.*")
        trainer.fit(watcher, datamodule)
    return watcher
