"""Video retrieval: is a video of the same class among the nearest?"""

from __future__ import annotations

from dataclasses import dataclass

from tbe.metrics import recall_at_k
from tbe.tasks.base import Evaluation


@dataclass(frozen=True)
class Retrieval:
    """R@k in percent: the query split against the gallery split, by cosine similarity."""

    ks: tuple[int, ...] = (1, 5, 10, 20, 50)

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        gallery = evaluation.features(evaluation.gallery)
        metrics = {}
        for split in evaluation.queries:
            queries = evaluation.features(split)
            recalls = recall_at_k(queries.vectors, queries.labels, gallery.vectors, gallery.labels, self.ks)
            metrics |= {evaluation.key(f"retrieval/R@{k}", split): value for k, value in recalls.items()}
        return metrics
