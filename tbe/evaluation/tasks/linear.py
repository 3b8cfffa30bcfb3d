"""Linear probe: logistic regression on frozen features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tbe.data.sources.records import hold_out
from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.metrics import topk_accuracy
from tbe.evaluation.tasks.base import Evaluation


@dataclass(frozen=True)
class LinearProbe:
    """Measures top-1 and top-5 in percent of a linear classifier trained on the gallery split.

    It is logistic regression on one vector a video, the mean over clips, time and space: not an attentive probe, which
    learns where to look in the maps of a frozen network and gives higher numbers (task=attentive).

    Its inverse regularization is the best of `strengths` on a fraction `held_out` of each class of the gallery (the
    first one if no class has two videos); it is then trained on the whole gallery. Features are standardized.
    """

    strengths: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    held_out: float = 0.2

    def __post_init__(self):
        if not self.strengths or min(self.strengths) <= 0 or not 0 < self.held_out < 1:
            raise UserError(
                "linear: expected strengths above 0 and held_out between 0 and 1, "
                f"got {list(self.strengths)} and {self.held_out}"
            )

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        probe, strength = self.fit(evaluation.features(evaluation.gallery))
        metrics = {"linear/strength": strength}
        for split in evaluation.queries:
            evaluation.warn_of_trained_on(split)
            queries = evaluation.features(split)
            scores = _scores(probe, queries.vectors.numpy())
            for k in (1, 5):
                metrics[evaluation.key(f"linear/top{k}", split)] = topk_accuracy(scores, queries.labels.numpy(), k)
        return metrics

    def fit(self, gallery: Features) -> tuple[Pipeline, float]:
        """Returns the trained probe and its strength; raises UserError for a gallery of one class."""
        vectors, labels = gallery.vectors.numpy(), gallery.labels.numpy()
        classes = np.unique(labels)
        if len(classes) < 2:
            raise UserError(
                f"linear: expected videos of at least two classes to train on, got {len(labels)} of label "
                f"{', '.join(map(str, classes))}"
            )
        held = hold_out(labels, self.held_out)
        scores = {}
        for strength in self.strengths if held.any() else self.strengths[:1]:
            trained = _train(vectors[~held], labels[~held], strength)
            scores[strength] = trained.score(vectors[held], labels[held]) if held.any() else 0.0
        best = max(scores, key=scores.__getitem__)
        return _train(vectors, labels, best), best


def _train(vectors: np.ndarray, labels: np.ndarray, strength: float) -> Pipeline:
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    with warnings.catch_warnings():
        # A weakly regularized probe may not converge; its accuracy is measured anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return probe.fit(vectors, labels)


def _scores(probe: Pipeline, vectors: np.ndarray) -> np.ndarray:
    """Returns scores (n, num_classes), one column per label; labels not in training have -inf."""
    known = probe.predict_proba(vectors)
    scores = np.full((len(vectors), int(probe.classes_.max()) + 1), -np.inf)
    scores[:, probe.classes_] = known
    return scores
