"""Linear probe trained with a fraction of the gallery's labels (task=semi)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.intervals import deviation
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe


@dataclass(frozen=True)
class FewLabels:
    """Measures top-1 in percent of a linear probe trained on each of `shares` of the gallery split's labels.

    All classes have the same number of labels, at least one and at most their number of videos; larger shares include
    the videos of smaller ones. Metrics, for a share of 1 %: `semi/1%_top1`, the mean over `draws` random subsets, its
    standard deviation `..._deviation`, and the number of labels, `semi/1%_labels`.
    """

    linear: LinearProbe
    shares: tuple[float, ...] = (0.01, 0.1)
    draws: int = 5
    seed: int = 0

    def __post_init__(self):
        if self.draws < 1 or not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise UserError(
                "semi: expected shares above 0 up to 1 and at least one of draws, "
                f"got {list(self.shares)} and {self.draws}"
            )

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        vectors, labels = evaluation.features(evaluation.gallery)
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            evaluation.warn_of_trained_on(split)
        for share in self.shares:
            name = f"semi/{100 * share:g}%"
            chosen = [labeled(labels.numpy(), share, (self.seed, draw)) for draw in range(self.draws)]
            probes = [self.linear.fit(Features(vectors[videos], labels[videos]))[0] for videos in chosen]
            metrics[f"{name}_labels"] = len(chosen[0])
            for split in evaluation.queries:
                queries = evaluation.features(split)
                scores = [100 * probe.score(queries.vectors.numpy(), queries.labels.numpy()) for probe in probes]
                metrics[evaluation.key(f"{name}_top1", split)] = float(np.mean(scores))
                metrics[evaluation.key(f"{name}_top1_deviation", split)] = deviation(scores)
        return metrics


def labeled(labels: np.ndarray, share: float, seed: int | tuple[int, ...]) -> np.ndarray:
    """Returns the videos, of labels (n,), that keep their label: equally many per class, `share` in total, shuffled.

    With the same seed, the result for a larger share contains that for a smaller one.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    known, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = classes.argsort(kind="stable")
    places = np.empty(len(labels), np.int64)  # rank of each video within its class
    places[by_class] = np.arange(len(labels)) - np.repeat(counts.cumsum() - counts, counts)
    return order[places < max(1, round(share * len(labels) / len(known)))]
