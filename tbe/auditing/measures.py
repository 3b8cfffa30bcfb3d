"""The measures of an audit as ratios of sums over videos, with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from tbe.auditing.answers import Answers, lent
from tbe.auditing.clips import PARTS, PASTED, ROLE_OF
from tbe.data.backgrounds import NOBODY
from tbe.evaluation.intervals import MAX_DRAWN

BACKGROUND, MOTION = "background_reliance", "motion_reliance"
HEADLINES = (BACKGROUND, MOTION)
# Of what right answers a headline is a share: where they are not above chance, nothing is claimed.
BASES = {BACKGROUND: "own_top1", MOTION: "clean_top1"}


class Ratio(NamedTuple):
    """100 * sum(parts) / sum(wholes) over videos, each (n,): every measure of an audit is one."""

    parts: np.ndarray
    wholes: np.ndarray


class Estimate(NamedTuple):
    """A value in percent and the ends of its 95 % interval; NaN where nothing was counted."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Returns whether there is a value."""
        return self.value == self.value


UNKNOWN = Estimate(np.nan, np.nan, np.nan)


def ratios(answers: Answers, reader: str) -> dict[str, Ratio]:
    """Returns the measures of one reader's answers: `linear` or `head`.

    `<clip>_top1`: right answers. `<clip>_drop`: points lost against the clean clip; `<clip>_beyond_cut`: against the
    actor pasted back on the own background. `background_reliance` and `motion_reliance`: see `HEADLINES` in the card.
    `sberr`: how often a clip of swap_class is given the class of its background; `sberr_control`: how often the actor
    on the own background is given that class. `contrasted_top1`: right in front of the new background and not the same
    answer when it is frozen. `conflict_error`: given the class of the still frame. The controls: `frames_top1`, of a
    classifier that was trained on one repeated frame, asked about one; `scene_top1`, how well the scene is told.
    """
    given, labels = answers.of(reader), answers.facts["label"]
    right = {clip: (column == labels).astype(float) for clip, column in given.items()}
    one = np.ones(len(labels))
    found = dict(_scores(answers, right, one))
    found[BACKGROUND] = Ratio(right["own"] - right["swap_class"], right["own"])
    found[MOTION] = Ratio(right["clean"] - right["static"], right["clean"])
    other = lent(answers, "other_class")
    differs = ((other != NOBODY) & (other != labels)).astype(float)
    found["sberr"] = Ratio(differs * (given["swap_class"] == other), differs)
    found["sberr_control"] = Ratio(differs * (given["own"] == other), differs)
    found["conflict_error"] = Ratio(differs * (given["conflict"] == other), differs)
    found["contrasted_top1"] = Ratio(right["swap_class"] * (given["swap_frozen"] != given["swap_class"]), one)
    for name, truth in (("frames", labels), ("scene", answers.facts.get("scene"))):
        if name in answers.readers and truth is not None:
            found[f"{name}_top1"] = Ratio((next(iter(answers.of(name).values())) == truth).astype(float), one)
    return found


def _scores(answers: Answers, right: Mapping[str, np.ndarray], one: np.ndarray) -> Iterator[tuple[str, Ratio]]:
    """Yields top-1 of each clip, and what it lost; a swap counts where another video lent its background."""
    for clip, hits in right.items():
        counted = one if clip not in ROLE_OF else (lent(answers, ROLE_OF[clip]) != NOBODY).astype(float)
        yield f"{clip}_top1", Ratio(hits * counted, counted)
        if clip != "clean":
            yield f"{clip}_drop", Ratio((right["clean"] - hits) * counted, counted)
        if clip in {*PASTED, *PARTS, "swap_frozen"} - {"own"}:
            yield f"{clip}_beyond_cut", Ratio((right["own"] - hits) * counted, counted)


def estimates(found: Mapping[str, Ratio], draws: int, seed: int) -> dict[str, Estimate]:
    """Returns each measure with its percentile bootstrap interval over videos.

    All measures see the same draws of the videos: the intervals of their differences are paired ones.
    """
    drawn = bootstrap(found, draws, seed)
    return {name: _estimate(_percent(*map(np.sum, ratio)), drawn[name]) for name, ratio in found.items()}


def differences(one: Mapping[str, Ratio], other: Mapping[str, Ratio], draws: int, seed: int) -> dict[str, Estimate]:
    """Returns `one` minus `other` for each measure that both have, of the same videos in the same order: paired."""
    pairs = [(name, ratio, other[name]) for name, ratio in one.items() if name in other]
    ours, theirs = (bootstrap({name: pair[place] for name, *pair in pairs}, draws, seed) for place in (0, 1))
    return {
        name: _estimate(_percent(*map(np.sum, a)) - _percent(*map(np.sum, b)), ours[name] - theirs[name])
        for name, a, b in pairs
    }


def bootstrap(found: Mapping[str, Ratio], draws: int, seed: int) -> dict[str, np.ndarray]:
    """Returns each measure over resampled videos, (draws,): the same samples for the same number of videos and seed."""
    parts, wholes = (np.stack([ratio[place] for ratio in found.values()], axis=1) for place in (0, 1))
    num_videos, rng = len(parts), np.random.default_rng(seed)
    rows, blocks = max(1, MAX_DRAWN // num_videos), []
    for start in range(0, draws, rows):
        chosen = rng.integers(num_videos, size=(min(rows, draws - start), num_videos))
        counts = np.stack([np.bincount(row, minlength=num_videos) for row in chosen]).astype(float)
        blocks.append(_percent(counts @ parts, counts @ wholes))
    return dict(zip(found, np.concatenate(blocks).T, strict=True))


def _percent(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(100 * parts, wholes, out=np.full(np.shape(parts), np.nan), where=np.asarray(wholes) > 0)


def _estimate(value: np.ndarray, drawn: np.ndarray) -> Estimate:
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def measured(answers: Answers, reader: str, draws: int, seed: int) -> dict[str, Estimate]:
    """Returns the measures of the videos that count; a reliance on what is not told above chance is NaN."""
    counted = answers.valid()
    found = estimates(ratios(counted, reader), draws, seed)
    for headline, base in BASES.items():
        if not found[base].low > chance(counted):
            found[headline] = UNKNOWN
    return found


def chance(answers: Answers) -> float:
    """Returns the percentage that the most frequent class alone gives."""
    return 100 * float(np.unique(answers.facts["label"], return_counts=True)[1].max()) / len(answers.paths)
