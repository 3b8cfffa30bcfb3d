"""Measures how far a network's classes depend on their scenes, in videos as they were filmed (task=scene_swap)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tbe.data.sources.class_names import class_names
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.metrics import knn_classes
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.scene_swap.assignments import balanced_assignments
from tbe.evaluation.tasks.scene_swap.questions import Probe, Videos, ask, fold_of_groups
from tbe.evaluation.tasks.scene_swap.scores import interval, read_scores, score
from tbe.evaluation.tasks.scene_swap.tables import table, write_assignments

FOLDER = "scene_swap"
KEPT = "scores.npz"
MIN_FOLDS = 2  # with videos of a class in its home scene: one to learn from while the other is asked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneSwap:
    """Learns each class in its home scene alone, and asks for it in the home scenes of other classes.

    For data with scenes, of whose classes each occurs in at least two. Homes are all balanced assignments of classes to
    scenes, or `assignments` drawn ones if they are more. Classifiers are a linear one (`linear_top1`) and the nearest
    neighbor by cosine (`R@1`), trained on all but one of `folds` of a query split and asked on that one: groups of the
    data, such as recordings, are never in both. The gallery is not used.

    Metrics in percent, below `scene_swap/`: `swap/<probe>`; `home/<probe>`, the same classifier in the home scenes;
    `drop/<probe>`, their difference; `unbiased/<probe>`, trained on as many videos of all scenes; `scene_answers/
    <probe>`, the answers on swap of a class that is at home there; `scene_<probe>`, how well features tell the scene.
    `..._low` and `..._high` are the 95 % bootstrap interval over assignments and groups. Writes `table.md`, with paired
    differences between checkpoints, and `scene_swap/<name>[/<split>]/assignments.csv`.
    """

    linear: LinearProbe
    folds: int = 5
    assignments: int = 50
    draws: int = 10_000
    seed: int = 0

    def __post_init__(self):
        if self.folds < 2 or self.assignments < 1 or self.draws < 1:
            raise UserError(
                "scene_swap: expected at least two folds and one of assignments and draws, "
                f"got {self.folds}, {self.assignments} and {self.draws}"
            )

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        metrics: dict[str, float] = {}
        probes: dict[str, Probe] = {"linear_top1": self._linear, "R@1": nearest}
        for split in evaluation.queries:
            videos, classes, scenes = _videos(evaluation, split)
            folds = fold_of_groups(videos, self.folds, self.seed)
            assignments = self._assignments(videos, folds, classes, scenes)
            scores = score(videos, assignments, ask(videos, assignments, folds, probes, self.seed))
            drawn = scores.resampled(self.draws, self.seed)
            for name, value in scores.means().items():
                bounds = interval(drawn[name])
                found = {name: value, f"{name}_low": bounds.low, f"{name}_high": bounds.high}
                metrics |= {evaluation.key(f"{FOLDER}/{kind}", split): number for kind, number in found.items()}
            if rank() == 0:
                folder = evaluation.folder / evaluation.key(f"{FOLDER}/{evaluation.name}", split)
                folder.mkdir(parents=True, exist_ok=True)
                scores.write(folder / KEPT)
                write_assignments(folder / "assignments.csv", assignments, scores, classes, scenes)
        return metrics

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Writes the scores of each checkpoint and its differences to the first, by the scores that `run` stored."""
        top = folder / FOLDER
        lines: list[str] = []
        for split in sorted(
            {file.parent.relative_to(top / name) for name in rows for file in (top / name).rglob(KEPT)}
        ):
            files = {name: top / name / split / KEPT for name in rows}
            found = {name: read_scores(file) for name, file in files.items() if file.exists()}
            lines += ["" if split == Path() else f"## {split.as_posix()}", "", *table(found, self.draws, self.seed), ""]
        (top / "table.md").write_text("\n".join(lines).strip() + "\n", encoding="utf-8")

    def _linear(self, vectors: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        return self.linear.fit(Features(torch.from_numpy(vectors), torch.from_numpy(labels)))[0].predict(asked)

    def _assignments(
        self, videos: Videos, folds: np.ndarray, classes: Sequence[str], scenes: Sequence[str]
    ) -> np.ndarray:
        """Returns the home scenes of the classes (A, K); raises UserError if there are none that are balanced."""
        # Not of groups: two that show several classes each may be asked together, with none left to learn from.
        num_folds = np.zeros((len(classes), len(scenes)), np.int64)
        for label, scene, _ in np.unique(np.stack([videos.classes, videos.scenes, folds]), axis=1).T:
            num_folds[label, scene] += 1
        confined = np.flatnonzero((num_folds > 0).sum(axis=1) < 2)
        if len(confined):
            raise UserError(
                f"scene_swap: expected every class in at least two scenes, got {classes[confined[0]]!r} in "
                f"{scenes[num_folds[confined[0]].argmax()]!r} alone ({len(confined)} such of {len(classes)} classes). "
                "Leave them out of the lists"
            )
        found = balanced_assignments(num_folds >= MIN_FOLDS, self.assignments, self.seed)
        if not len(found):
            raise UserError(
                f"scene_swap: expected {len(classes)} classes that can be assigned to {len(scenes)} scenes in equal "
                f"numbers, each to a scene with at least {MIN_FOLDS} groups of its videos (data.groups; single videos "
                f"without) in different ones of {self.folds} folds, found no such assignment. Leave rare scenes out of "
                "the lists"
            )
        log.info("scene_swap: %d assignments of %d classes to %d scenes", len(found), len(classes), len(scenes))
        return found


def nearest(vectors: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Returns the label of the nearest of vectors (m, F), by cosine, for each of `asked` (n, F): (n,)."""
    return knn_classes(torch.from_numpy(asked), torch.from_numpy(vectors), torch.from_numpy(labels), k=1).numpy()


def _by_first(ids: np.ndarray) -> np.ndarray:
    """Returns for each id (n,) the first row that has it: unlike ids of videos, in the same order in each process."""
    _, first, number = np.unique(ids, return_index=True, return_inverse=True)
    return first[number]


def _videos(evaluation: Evaluation, split: str) -> tuple[Videos, list[str], list[str]]:
    """Returns the videos of a split, and the names of the classes and scenes that occur."""
    source = evaluation.datamodule.source
    scenes, groups = source.scenes(split), source.groups(split)
    if scenes is None:
        raise UserError(
            "scene_swap: expected data with scenes, such as data=ut_interaction or data.scenes=<folder of lists>, "
            f"got {source.name}"
        )
    vectors, labels = evaluation.features(split)
    if groups is None:
        groups = torch.from_numpy(_by_first(evaluation.video_ids(split).numpy()))
    known, class_of = np.unique(labels.numpy(), return_inverse=True)
    known_scenes, scene_of = np.unique(scenes.numpy(), return_inverse=True)
    names = class_names(source, source.records(split))
    scene_names = source.labelings()["scene"].class_names if "scene" in source.labelings() else None
    return (
        Videos(vectors.numpy(), class_of, scene_of, np.unique(groups.numpy(), return_inverse=True)[1]),
        [names[label] for label in known],
        [scene_names[scene] if scene_names else f"scene {scene}" for scene in known_scenes],
    )
