"""Measures the quality of features during training with a kNN classifier."""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tbe.data.video_ids import video_ids
from tbe.distributed import gather_uneven, rank
from tbe.evaluation.metrics import knn_accuracy
from tbe.evaluation.neighbors import Exclusion

log = logging.getLogger(__name__)


class KnnProbe(pl.Callback):
    """Logs `val/knn_top1`: the accuracy of classifying validation videos by their nearest gallery videos.

    Where the data has scenes, also `val/knn_scene_top1`, of telling the scene by the same neighbors.

    Reads the outputs of the module's validation step: loader 0 is the gallery, loader 1 the queries. Labels are used
    for this measurement only; without labels or a val split the probe is skipped. Videos with a label below 0 are
    ignored. A validation video that is also in the gallery is excluded from its own neighbors; a warning says so once,
    because models are selected on this number.
    """

    def __init__(self, k: int = 20, temperature: float = 0.07):
        self.k = k
        self.temperature = temperature
        self.collected: tuple[list, list] = ([], [])
        self._has_warned = False

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
        self.collected[dataloader_idx].append({**outputs, "index": batch["index"]})

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]  # not declared by Lightning
        (gallery, gallery_labels, in_gallery), (queries, query_labels, in_queries) = map(self._joined, self.collected)
        known, asked = (
            torch.from_numpy(video_ids(data.val_records[split]))[rows]
            for split, rows in zip(data.val_splits, (in_gallery, in_queries), strict=True)
        )
        excluded = Exclusion.of(asked, known)
        if excluded and not self._has_warned and rank() == 0:
            log.warning(
                "val/knn_top1: %d of the %d validation videos are also in the gallery, because the lists "
                "share them: none finds itself, but the model is selected on videos that it may have been trained on",
                len(excluded.queries.unique()),
                len(asked),
            )
            self._has_warned = True
        accuracy = knn_accuracy(queries, query_labels, gallery, gallery_labels, self.k, self.temperature, excluded)
        module.log("val/knn_top1", accuracy, sync_dist=True)
        known_scenes, asked_scenes = (data.val_scenes[split] for split in data.val_splits)
        if known_scenes is not None and asked_scenes is not None:
            scenes = asked_scenes[in_queries].to(queries.device), gallery, known_scenes[in_gallery].to(gallery.device)
            accuracy = knn_accuracy(queries, *scenes, self.k, self.temperature, excluded)
            module.log("val/knn_scene_top1", accuracy, sync_dist=True)

    @staticmethod
    def _joined(outputs: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns features, labels and rows of the split, on the CPU, of the labelled videos of all processes."""
        names = ("features", "labels", "index")
        features, labels, index = (gather_uneven(torch.cat([part[name] for part in outputs])) for name in names)
        counted = labels >= 0
        return features[counted], labels[counted], index[counted].cpu()
