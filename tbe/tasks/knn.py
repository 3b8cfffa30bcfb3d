"""The weighted k-nearest-neighbour classifier on frozen features."""

from __future__ import annotations

from dataclasses import dataclass

from tbe.metrics import knn_accuracy
from tbe.tasks.base import Evaluation


@dataclass(frozen=True)
class Knn:
    """Top-1 in percent of the query split among the k nearest of the gallery split."""

    k: int = 20
    temperature: float = 0.07

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        gallery = evaluation.features(evaluation.gallery)
        metrics = {}
        for split in evaluation.queries:
            queries = evaluation.features(split)
            metrics[evaluation.key("knn/top1", split)] = knn_accuracy(
                queries.vectors, queries.labels, gallery.vectors, gallery.labels, self.k, self.temperature
            )
        return metrics
