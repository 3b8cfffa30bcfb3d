"""Confusion task: confusion matrix and the most confused pairs of classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tbe.data.sources.class_names import class_names
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.metrics import knn_classes
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.confusion.drawing import draw_matrix
from tbe.evaluation.tasks.confusion.pairs import confused_pairs, write_csv, write_markdown

CHOICES = ("head", "knn")


@dataclass(frozen=True)
class Confusion:
    """Measures and draws which classes the videos of the query split are predicted as.

    by: 'head', the trained head by the mean softmax over a video's clips; 'knn', weighted nearest neighbors on frozen
    features, as in task=knn; None for the head if there is one. Writes below
    `confusion/<name of the checkpoint>`, for each split, `<split>.png` (each row a class, in percent of its videos),
    `<split>_pairs.csv` (all confused pairs, the most confused first) and `<split>_pairs.md` (the first
    `pairs` of them). Metrics, in percent: `confusion/top1` of videos and `confusion/mean_class_top1`, the mean of the
    classes'. Raises UserError for by='head' without a head, or if its classes are not those of the data.
    """

    by: str | None = None
    k: int = 20
    temperature: float = 0.07
    pairs: int = 20

    def __post_init__(self):
        if self.by not in (None, *CHOICES):
            raise UserError(f"confusion: expected by to be null or one of {', '.join(CHOICES)}, got {self.by!r}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        by = self.by or ("knn" if evaluation.head_of_the_data("task=confusion") is None else "head")
        if by == "head":
            evaluation.require_head("confusion: by=head", "set tasks.confusion.by=knn")
        metrics = {}
        for split in evaluation.queries:
            predicted, labels = self._by_head(evaluation, split) if by == "head" else self._by_knn(evaluation, split)
            counts = count_confusions(labels, predicted, evaluation.datamodule.source.num_classes)
            correct = counts.trace() / counts.sum(), np.nanmean(shares(counts).diagonal())
            for name, share in zip(("top1", "mean_class_top1"), correct, strict=True):
                metrics[evaluation.key(f"confusion/{name}", split)] = 100 * float(share)
            if rank() == 0:
                self._write(evaluation, split, counts, "trained head" if by == "head" else "nearest neighbors")
        return metrics

    def _by_head(self, evaluation: Evaluation, split: str) -> tuple[Tensor, Tensor]:
        logits, labels = evaluation.logits(split)
        return logits.softmax(dim=-1).mean(dim=1).argmax(dim=1), labels

    def _by_knn(self, evaluation: Evaluation, split: str) -> tuple[Tensor, Tensor]:
        gallery, queries = evaluation.features(evaluation.gallery), evaluation.features(split)
        excluded = evaluation.same_videos(split, evaluation.gallery)
        return knn_classes(queries.vectors, *gallery, self.k, self.temperature, excluded), queries.labels

    def _write(self, evaluation: Evaluation, split: str, counts: np.ndarray, how: str) -> None:
        folder: Path = evaluation.folder / "confusion" / evaluation.name
        folder.mkdir(parents=True, exist_ok=True)
        source = evaluation.datamodule.source
        names = class_names(source, source.records(split))
        found = confused_pairs(counts, names)
        write_csv(folder / f"{split}_pairs.csv", found)
        write_markdown(folder / f"{split}_pairs.md", found[: self.pairs])
        seen = counts.sum(axis=0) + counts.sum(axis=1) > 0
        draw_matrix(
            shares(counts)[seen][:, seen],
            [name for name, drawn in zip(names, seen, strict=True) if drawn],
            f"{evaluation.name}: {split} of {source.name}, by {how}",
            folder / f"{split}.png",
        )


def count_confusions(labels: Tensor, predicted: Tensor, num_classes: int) -> np.ndarray:
    """Counts videos by true and predicted class, int64 (num_classes, num_classes).

    Raises UserError for videos without a class.
    """
    if int(labels.min()) < 0:
        raise UserError(f"confusion: expected a class for each video, got {int((labels < 0).sum())} without one")
    pairs = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return pairs.view(num_classes, num_classes).numpy()


def shares(counts: np.ndarray) -> np.ndarray:
    """Divides the counts of each row by their sum; nan for empty rows."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
