"""Background robustness task: scores on clips with changed background, motion or order of frames."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from tbe.distributed import rank
from tbe.evaluation import perturbations
from tbe.evaluation.features import CLEAN, Features
from tbe.evaluation.metrics import recall_at_k, topk_accuracy
from tbe.evaluation.perturbations import Perturbation
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.scene_leakage import can_be_told, has_scenes, scene_leakage

# The motion stays but the background changes: scores should not drop.
BACKGROUND: dict[str, Perturbation] = {
    "swap": perturbations.BackgroundSwap(),
    "swap_class": perturbations.BackgroundSwap(another_class=True),
    "foreground_only": perturbations.ForegroundOnly(),
}
# The background stays but the motion is removed or changed: a score that does not drop did not depend on motion.
MOTION: dict[str, Perturbation] = {
    "static": perturbations.Static(),
    "median": perturbations.Median(),
    "foreground_removed": perturbations.ForegroundRemoved(),
    "shuffled": perturbations.Shuffled(),
    "reversed": perturbations.Reversed(),
}
MEASURES = ("head_top1", "linear_top1", "R@1")
TRUE_MASKS = "robustness/true_masks"
MOST = 0.5  # of the frame

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Robustness:
    """Measures accuracy and retrieval R@1 under each of the `perturbations` of the query split, and the relative drops.

    Classifiers train on the clean gallery. Metrics, in percent: `robustness/<probe>/linear_top1` (a linear
    classifier), `.../R@1` (cosine) and, with a trained head, `.../head_top1`; `robustness/background_drop` and
    `robustness/motion_drop`, the mean fraction of the clean accuracy (of the head if there is one, else of the linear
    classifier) lost under the probes of background and of motion, and `..._drop_<probe>`, that of each probe.
    `robustness/true_masks` is the fraction of videos with masks (or boxes) of their actors; in the others moving
    regions are used, with a warning if most of the frame moves. weights: of the frames that the probes
    `added_frame_<weight>` (another frame of the clip) and `added_backdrop_<weight>` (another video's background) add.
    If the data has scenes, `robustness/scene_linear_top1` and `robustness/scene_R@1` measure how well features predict
    them. Writes `robustness/<name>.csv`, and `table.md` and pictures of all checkpoints.
    """

    linear: LinearProbe
    weights: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        gallery = evaluation.features(evaluation.gallery)
        head = evaluation.head_of_the_data("task=robustness")
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            asked: dict[str, Perturbation] = {**self.probes(), "foreground": perturbations.ForegroundShare()}
            found = evaluation.perturbed_features(split, asked, per_clip=head is not None)
            masks = found.pop("foreground").averaged().vectors
            measure = _measures(evaluation, gallery, split, self.linear, head is not None)
            scores = {name: measure(features) for name, features in found.items()}
            scores_of_split = {
                f"robustness/{name}/{kind}": value for name, row in scores.items() for kind, value in row.items()
            }
            scores_of_split |= summary(scores, chance(found["clean"].labels))
            scores_of_split[TRUE_MASKS] = 100 * masks[:, 1].mean().item()
            _warn_of_motion(masks, split)
            if has_scenes(evaluation) and can_be_told(evaluation, split):
                scores_of_split |= {
                    f"robustness/{name}": value for name, value in scene_leakage(evaluation, split, self.linear).items()
                }
            metrics |= {evaluation.key(name, split): value for name, value in scores_of_split.items()}
            if rank() == 0:
                folder = evaluation.folder / "robustness"
                folder.mkdir(exist_ok=True)
                _write_csv(folder / f"{evaluation.key(evaluation.name, split).replace('/', '_')}.csv", scores)
        return metrics

    def probes(self) -> dict[str, Perturbation]:
        """Returns all probes by name, clean clips first."""
        added: dict[str, Perturbation] = {
            f"added_frame_{weight:g}": perturbations.AddedFrame(weight) for weight in self.weights
        }
        added |= {f"added_backdrop_{weight:g}": perturbations.AddedBackdrop(weight) for weight in self.weights}
        return {**CLEAN, **BACKGROUND, **MOTION, **added}

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Writes the table and the pictures of all checkpoints."""
        from tbe.evaluation.tasks.robustness.pictures import draw_bars, draw_curves  # slow to import

        folder = folder / "robustness"
        (folder / "table.md").write_text(markdown(rows), encoding="utf-8")
        for split, measured in by_split(rows).items():
            draw_bars(measured, [*CLEAN, *BACKGROUND, *MOTION], folder / f"probes{split}.png")
            draw_curves(measured, self.weights, folder / f"added{split}.png")


def chance(labels: Tensor) -> float:
    """Returns the percentage that the most frequent class alone gives, of labels (n,)."""
    return 100 * labels.unique(return_counts=True)[1].max().item() / len(labels)


def summary(scores: dict[str, dict[str, float]], chance: float) -> dict[str, float]:
    """Returns the fraction of the clean accuracy lost under background and under motion probes, in percent.

    The mean of each kind, and that of each probe; NaN if the clean accuracy is not above chance.
    """
    kind = next(kind for kind in MEASURES if kind in scores["clean"])
    clean = scores["clean"][kind]
    groups = {"robustness/background_drop": BACKGROUND, "robustness/motion_drop": MOTION}
    found: dict[str, float] = {}
    for name, group in groups.items():
        lost = {probe: 100 * (clean - scores[probe][kind]) / clean if clean > chance else np.nan for probe in group}
        found |= {name: float(np.mean(list(lost.values()))), **{f"{name}_{probe}": lost[probe] for probe in group}}
    return found


def by_split(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """Groups the scores by split: its name with an underscore, or '' for a single split.

    rows: metrics by checkpoint; names in the result are '<probe>/<measure>'.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for checkpoint, row in rows.items():
        for name, value in row.items():
            part, *probe = name.split("/")
            if part == "robustness" and len(probe) > 1 and probe[1] in MEASURES:
                split = f"_{probe[2]}" if len(probe) > 2 else ""
                found.setdefault(split, {}).setdefault(checkpoint, {})[f"{probe[0]}/{probe[1]}"] = value
    return found


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """Returns a table with a line per probe and measure and a column per checkpoint: score (gap to the clean score).

    Its caption says whether actors come from true masks or from motion.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row if name.startswith("robustness/")))
    lines = ["| | " + " | ".join(rows) + " |", "|---" + "|---:" * len(rows) + "|"]
    for name in names:
        cells = [_cell(row, name) for row in rows.values()]
        lines.append(f"| {name.removeprefix('robustness/')} | " + " | ".join(cells) + " |")
    return "\n".join([caption(rows), "", *lines]) + "\n"


def caption(rows: dict[str, dict[str, float]]) -> str:
    """Returns a sentence that says whether actors come from true masks or from motion."""
    shares = {value for row in rows.values() for name, value in row.items() if name.startswith(TRUE_MASKS)}
    if shares == {100.0}:
        return "Actors come from true masks (or boxes) in all videos."
    some = " and ".join(f"{share:.0f} %" for share in sorted(shares)) or "an unknown share"
    where = "in no video" if shares == {0.0} else f"in {some} of the videos"
    return (
        f"Actors come from true masks (or boxes) {where}; elsewhere they are estimated from motion, wrongly if the "
        "camera moves."
    )


def _cell(row: dict[str, float], name: str) -> str:
    if name not in row:
        return ""
    _, probe, *measure = name.split("/")
    clean = row.get("/".join(["robustness", "clean", *measure]))
    gap = "" if clean is None or probe == "clean" else f" ({row[name] - clean:+.1f})"
    return f"{row[name]:.1f}{gap}"


def _warn_of_motion(masks: Tensor, split: str) -> None:
    """Warns of videos in which most of the frame moves; masks (n, 2): area, and whether the mask is known."""
    moving = (masks[:, 0] > MOST) & (masks[:, 1] < 1)
    if moving.any() and rank() == 0:
        log.warning(
            f"robustness: in {int(moving.sum())} of the {len(masks)} videos of {split} most of the frame moves, and "
            "there is no mask: with a moving camera, motion does not show the actor, and the numbers on backgrounds "
            "are wrong. Set data.masks=<folder>, or exclude such videos"
        )


def _measures(
    evaluation: Evaluation, gallery: Features, split: str, linear: LinearProbe, has_head: bool
) -> Callable[[Features], dict[str, float]]:
    """Returns a function that scores features of the query split by a head, a linear classifier, and R@1."""
    evaluation.warn_of_trained_on(split)
    classifier = linear.fit(gallery)[0]
    excluded = evaluation.same_videos(split, evaluation.gallery)

    def measure(found: Features) -> dict[str, float]:
        scores = {}
        labels = found.labels.numpy()
        if has_head:
            probabilities = evaluation.classify(found).vectors.softmax(dim=-1).mean(dim=1)
            scores["head_top1"] = topk_accuracy(probabilities.numpy(), labels, 1)
        vectors = found.averaged().vectors
        scores["linear_top1"] = 100 * classifier.score(vectors.numpy(), labels)
        scores["R@1"] = recall_at_k(vectors, found.labels, *gallery, (1,), excluded=excluded)[1]
        return scores

    return measure


def _write_csv(file: Path, scores: dict[str, dict[str, float]]) -> None:
    kinds = list(scores["clean"])
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["probe", *kinds, *(f"{kind}_gap" for kind in kinds)])
        writer.writerows([name, *_row(row, scores["clean"])] for name, row in scores.items())


def _row(row: dict[str, float], clean: dict[str, float]) -> Iterable[str]:
    return [f"{value:.2f}" for value in row.values()] + [f"{row[kind] - clean[kind]:.2f}" for kind in clean]
