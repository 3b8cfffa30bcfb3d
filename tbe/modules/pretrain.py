"""Pretraining on unlabelled videos: any method, with or without Background Erasing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from tbe.methods.base import Method
from tbe.metrics import contrast_accuracy
from tbe.modules.optim import Schedule, configure


class PretrainModule(pl.LightningModule):
    """Erases the background of the query, lets the method compare the views, and the loss judge.

    The batch holds query, key and negative (B, C, T, H, W). Validation hands the features of labelled
    clips to the callbacks that probe them.
    """

    def __init__(
        self,
        method: Method,
        erase: nn.Module,
        loss: nn.Module,
        optimizer: Callable,
        schedule: Schedule,
    ):
        super().__init__()
        self.method = method
        self.erase = erase
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule

    @property
    def backbone(self) -> nn.Module:
        """What is kept of pretraining."""
        return self.method.backbone

    def on_train_start(self) -> None:
        self.method.see_data(len(self.trainer.train_dataloader.dataset))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        comparisons = self.method(self.erase(batch["query"]), batch["key"], batch["negative"])
        loss = self.loss(*comparisons)
        self.log("train/loss", loss, prog_bar=True)
        if comparisons.negatives.shape[1]:
            self.log("train/contrast_accuracy", contrast_accuracy(*comparisons), prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        clips = batch["clips"]
        features = self.backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(dim=1)
        return {"features": features.float(), "labels": batch["label"]}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Here and not in training_step: under accumulation the keys would move once a micro-batch.
        self.method.after_step()

    def configure_optimizers(self) -> dict[str, Any]:
        return configure(self.trainer, self.method.parameters(), self.optimizer, self.schedule)
