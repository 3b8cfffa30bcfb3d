"""Lightning module for action recognition: finetuning, or a linear probe of a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.errors import UserError
from tbe.training.optim import Schedule, configure


class FinetuneModule(pl.LightningModule):
    """Trains a classifier, or with `frozen` only its head, on features of the backbone in eval mode.

    Batches hold clips (B, N, C, T, H, W) and label (B,). Validation averages the softmax over the clips of a video
    and ignores videos with label -1.
    """

    def __init__(
        self,
        backbone: VideoBackbone,
        num_classes: int,
        loss: nn.Module,
        optimizer: Callable,
        schedule: Schedule,
        dropout: float = 0.5,
        frozen: bool = False,
    ):
        super().__init__()
        if num_classes < 2:
            raise UserError(
                f"finetuning: expected at least two classes, got {num_classes}. Set data.num_classes and label the "
                "videos in the lists; without classes a network can be pretrained (stage=pretrain)"
            )
        self.classifier = Classifier(backbone, num_classes, dropout)
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.frozen = frozen
        if frozen:
            backbone.requires_grad_(False).eval()
        self.top1, self.top5 = (
            MulticlassAccuracy(num_classes, top_k=min(k, num_classes), average="micro", ignore_index=-1) for k in (1, 5)
        )

    @property
    def backbone(self) -> VideoBackbone:
        """Returns the network below the head."""
        return self.classifier.backbone

    def train(self, mode: bool = True) -> FinetuneModule:
        super().train(mode)
        if self.frozen:  # including its batch norm statistics
            self.backbone.eval()
        return self

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = self.classifier(batch["clips"].flatten(0, 1))
        labels = batch["label"].repeat_interleave(batch["clips"].shape[1])
        loss = self.loss(logits, labels)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/top1", 100 * (logits.argmax(dim=1) == labels).float().mean(), prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clips = batch["clips"]
        probabilities = self.classifier(clips.flatten(0, 1)).float().softmax(dim=1)
        probabilities = probabilities.unflatten(0, clips.shape[:2]).mean(dim=1)
        self.top1.update(probabilities, batch["label"])
        self.top5.update(probabilities, batch["label"])

    def on_validation_epoch_end(self) -> None:
        for name, metric in {"val/top1": self.top1, "val/top5": self.top5}.items():
            self.log(name, 100 * metric.compute(), prog_bar=True, sync_dist=True)
            metric.reset()

    def configure_optimizers(self) -> dict[str, Any]:
        return configure(self.trainer, self.classifier.parameters(), self.optimizer, self.schedule)
