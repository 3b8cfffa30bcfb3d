"""Scores of the answers, with intervals over assignments and groups of videos."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tbe.evaluation.intervals import Interval, crossed_bootstrap
from tbe.evaluation.tasks.scene_swap.questions import Answers, Videos
from tbe.runs import replacing

HOME, SWAP, DROP = "home", "swap", "drop"


class Scores(NamedTuple):
    """Scores by name, as sums and counts, float (M, A, G), over the videos of each group under each assignment.

    of: a hash of the videos' classes, scenes and groups, and of the assignments; "" if unknown.
    """

    names: list[str]
    sums: np.ndarray
    counts: np.ndarray
    of: str = ""

    def means(self) -> dict[str, float]:
        """Returns each score in percent; nan if nothing was asked."""
        totals, numbers = self.sums.sum(axis=(1, 2)), self.counts.sum(axis=(1, 2))
        shares = np.divide(totals, numbers, out=np.full(len(totals), np.nan), where=numbers > 0)
        return _with_drops(dict(zip(self.names, (100 * shares).tolist(), strict=True)))

    def resampled(self, draws: int, seed: int) -> dict[str, np.ndarray]:
        """Returns each score in percent, resampled (draws,); the same assignments and groups for all with a seed."""
        found = crossed_bootstrap(self.sums, self.counts, draws, seed)
        return _with_drops(dict(zip(self.names, 100 * found, strict=True)))

    def write(self, file: Path) -> None:
        """Writes a file for `read_scores`."""
        with replacing(file) as part, part.open("wb") as out:
            names, of = np.array(self.names), np.array(self.of)
            np.savez_compressed(out, names=names, sums=self.sums, counts=self.counts, of=of)


def read_scores(file: Path) -> Scores:
    """Reads the file of `Scores.write`."""
    with np.load(file) as arrays:
        of = str(arrays["of"]) if "of" in arrays else ""  # which older files lack
        return Scores(arrays["names"].tolist(), arrays["sums"], arrays["counts"], of)


def score(videos: Videos, assignments: np.ndarray, answers: Answers) -> Scores:
    """Returns the scores of each probe, by `<question>/<probe>`.

    home, swap: correct answers in the home scene of a class, and in others, after training in the home scenes;
    unbiased: in any scene, after training in all; scene_answers: on swap, of any class that is at home where the video
    was filmed. And `scene_<probe>`: correct answers to which scene it is.
    """
    homes = assignments[:, videos.classes]  # (A, n)
    in_play = (assignments[:, :, None] == videos.scenes).any(axis=1)
    is_home = homes == videos.scenes
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # what is scored, and where
    for probe, answered in answers.biased.items():
        right, right_unbiased = answered == videos.classes, answers.unbiased[probe] == videos.classes
        found[f"{SWAP}/{probe}"] = right, in_play & ~is_home
        found[f"{HOME}/{probe}"] = right, in_play & is_home
        found[f"unbiased/{probe}"] = right_unbiased, in_play
        by_scene = np.take_along_axis(assignments, answered.clip(0), axis=1) == videos.scenes
        found[f"scene_answers/{probe}"] = by_scene, in_play & ~is_home
    for probe, told in answers.scenes.items():
        right = np.broadcast_to(told == videos.scenes, homes.shape)
        found[f"scene_{probe}"] = right, np.ones_like(right)
    of_group = np.unique(videos.groups, return_inverse=True)[1] == np.arange(len(np.unique(videos.groups)))[:, None]
    sums, counts = (np.stack([part @ of_group.T for part in parts]) for parts in _weighted(found))
    digest = hashlib.blake2b(digest_size=16)
    for known in (videos.classes, videos.scenes, videos.groups, assignments):
        digest.update(repr(known.shape).encode() + known.astype(np.int64).tobytes())
    return Scores(list(found), sums, counts, digest.hexdigest())


def interval(values: np.ndarray) -> Interval:
    """Returns the 95 % interval of resampled scores (draws,), percentiles; nan if all are."""
    known = values[np.isfinite(values)]
    return Interval(*np.percentile(known, [2.5, 97.5]).tolist()) if len(known) else Interval(np.nan, np.nan)


def _weighted(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    scored = [(is_right & is_scored).astype(float) for is_right, is_scored in found.values()]
    return scored, [is_scored.astype(float) for _, is_scored in found.values()]


def _with_drops(scores: dict) -> dict:
    """Adds the drop from home to swap of each probe."""
    probes = [name.partition("/")[2] for name in scores if name.startswith(f"{HOME}/")]
    return scores | {f"{DROP}/{probe}": scores[f"{HOME}/{probe}"] - scores[f"{SWAP}/{probe}"] for probe in probes}
