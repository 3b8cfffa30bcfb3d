"""How good the features are while they are learned."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tbe.distributed import gather_uneven
from tbe.metrics import knn_accuracy


class KnnProbe(pl.Callback):
    """Logs `val/knn_top1`: nearest neighbours of the validation videos among those of the gallery.

    Reads the outputs of the module's validation step: loader 0 is the gallery, loader 1 the queries. It needs
    labels for measuring only; a data set without them, or without a val split, is trained without the probe. Videos
    with a label below 0 do not count.
    """

    def __init__(self, k: int = 20, temperature: float = 0.07):
        self.k = k
        self.temperature = temperature
        self.collected: tuple[list, list] = ([], [])

    def on_validation_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.collected = ([], [])

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.collected[dataloader_idx].append(outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        (gallery, gallery_labels), (queries, query_labels) = (self._joined(part) for part in self.collected)
        accuracy = knn_accuracy(queries, query_labels, gallery, gallery_labels, self.k, self.temperature)
        module.log("val/knn_top1", accuracy, prog_bar=True, sync_dist=True)

    @staticmethod
    def _joined(outputs: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        names = ("features", "labels")
        features, labels = (gather_uneven(torch.cat([part[name] for part in outputs])) for name in names)
        return features[labels >= 0], labels[labels >= 0]
