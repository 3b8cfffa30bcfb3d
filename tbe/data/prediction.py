"""Feeds `Trainer.predict` with the evaluation batches of a VideoDataModule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tbe.data.datamodule import VideoDataModule


class PredictionData(pl.LightningDataModule):
    """The batches of one loader, as the evaluation views of a VideoDataModule.

    loader: maps a process's rank and the number of processes to the loader of its share; called once data is prepared.
    """

    def __init__(self, data: VideoDataModule, loader: Callable[[int, int], DataLoader]):
        super().__init__()
        self.data = data
        self.loader = loader

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def predict_dataloader(self) -> DataLoader:
        self.data.trainer = self.trainer  # whose device decides where batches are kept for it
        return self.loader(self.trainer.global_rank, self.trainer.world_size)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        return self.data.eval_views(batch)
