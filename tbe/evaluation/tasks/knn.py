"""Weighted k-nearest-neighbor classification on frozen features."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.metrics import knn_accuracy
from tbe.evaluation.tasks.base import Evaluation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Knn:
    """Measures top-1 in percent of the query split, classified by the k nearest videos of the gallery split.

    If gallery and query split share videos, each query is excluded from its own neighbors.
    """

    k: int = 20
    temperature: float = 0.07

    def __post_init__(self):
        if self.k < 1 or self.temperature <= 0:
            raise UserError(f"knn: expected k of at least 1 and temperature above 0, got {self.k}, {self.temperature}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        gallery = evaluation.features(evaluation.gallery)
        if self.k > len(gallery.labels) and rank() == 0:
            log.warning(f"knn: all {len(gallery.labels)} videos of {evaluation.gallery} vote, fewer than k={self.k}")
        metrics = {}
        for split in evaluation.queries:
            queries = evaluation.features(split)
            excluded = evaluation.same_videos(split, evaluation.gallery)
            metrics[evaluation.key("knn/top1", split)] = knn_accuracy(
                *queries, *gallery, self.k, self.temperature, excluded
            )
        return metrics
