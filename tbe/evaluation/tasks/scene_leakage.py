"""Scene leakage: how well frozen features predict the scene, which is independent of the action."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.metrics import recall_at_k
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scenes:
    """Measures top-1 of a linear classifier for scenes and R@1 by scene, in percent.

    Metrics: `scenes/scene_linear_top1`, `scenes/scene_R@1`. A query split that shares no scene with the gallery is
    skipped, with a log message. Raises UserError for data without scenes.
    """

    linear: LinearProbe

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        return {
            evaluation.key(f"scenes/{name}", split): value
            for split in evaluation.queries
            if can_be_told(evaluation, split)
            for name, value in scene_leakage(evaluation, split, self.linear).items()
        }


def has_scenes(evaluation: Evaluation) -> bool:
    """Returns whether the data set has scene labels."""
    return evaluation.datamodule.source.scenes(evaluation.gallery) is not None


def can_be_told(evaluation: Evaluation, split: str) -> bool:
    """Returns whether gallery and query split share scenes; logs if they don't, or if the query's are unknown.

    Of a gallery with a single scene there is nothing to tell either.
    """
    if evaluation.datamodule.source.scenes(split) is None and has_scenes(evaluation):
        log.info("scenes: skipped %s, whose scenes are not known", split)
        return False
    gallery, queries = (_labeled_by_scene(evaluation, part) for part in (evaluation.gallery, split))
    if len(gallery.labels.unique()) < 2:
        log.info("scenes: skipped %s, because all videos of %s have one scene", split, evaluation.gallery)
        return False
    if np.isin(queries.labels.numpy(), gallery.labels.numpy()).any():
        return True
    log.info("scenes: skipped %s, because %s has none of its scenes", split, evaluation.gallery)
    return False


def scene_leakage(evaluation: Evaluation, split: str, linear: LinearProbe) -> dict[str, float]:
    """Returns `scene_linear_top1` and `scene_R@1` in percent; raises UserError for data without scenes."""
    gallery, queries = (_labeled_by_scene(evaluation, part) for part in (evaluation.gallery, split))
    evaluation.warn_of_trained_on(split)
    probe, _ = linear.fit(gallery)
    excluded = evaluation.same_videos(split, evaluation.gallery)
    return {
        "scene_linear_top1": 100 * probe.score(queries.vectors.numpy(), queries.labels.numpy()),
        "scene_R@1": recall_at_k(*queries, *gallery, (1,), excluded=excluded)[1],
    }


def _labeled_by_scene(evaluation: Evaluation, split: str) -> Features:
    source = evaluation.datamodule.source
    scenes = source.scenes(split)
    if scenes is None:
        raise UserError(f"scenes: expected data with scenes, such as data=biased_scenes, got {source.name}")
    return Features(evaluation.features(split).vectors, scenes)
