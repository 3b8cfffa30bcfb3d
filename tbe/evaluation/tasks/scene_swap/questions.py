"""What is learned from and what is asked: folds of groups, and training sets with and without a scene bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

NOT_ASKED = -1

# Trains on vectors (m, F) with labels (m,) and answers for vectors (n, F): labels (n,).
Probe = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
ByProbe = dict[str, np.ndarray]


class Videos(NamedTuple):
    """What is known of n videos: vectors float (n, F); classes, scenes and groups int64 (n,), each counted from 0."""

    vectors: np.ndarray
    classes: np.ndarray
    scenes: np.ndarray
    groups: np.ndarray


class Answers(NamedTuple):
    """What each probe answers, `NOT_ASKED` where a video is not asked.

    biased: classes (A, n) under each assignment, after training in the home scenes; unbiased: the same after training
    on as many videos of each class, spread over all scenes; scenes: the answers to which scene it is, (n,).
    """

    biased: ByProbe
    unbiased: ByProbe
    scenes: ByProbe


def fold_of_groups(videos: Videos, num_folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each video, int64 (n,): groups stay together, scenes and classes are spread over folds."""
    _, first, group_of = np.unique(videos.groups, return_index=True, return_inverse=True)
    chance = np.random.default_rng(seed).random(len(first))
    order = np.lexsort([chance, videos.classes[first], videos.scenes[first]])
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % num_folds
    return folds[group_of]


def ask(videos: Videos, assignments: np.ndarray, folds: np.ndarray, probes: Mapping[str, Probe], seed: int) -> Answers:
    """Asks each video for its class, under each assignment (A, K), and its scene, after training on the other folds.

    Scenes that are no class's home are left out under that assignment.
    """
    rng = np.random.default_rng(seed)
    shape = len(assignments), len(videos.classes)
    biased, unbiased = ({name: np.full(shape, NOT_ASKED) for name in probes} for _ in range(2))
    scenes = {name: np.full(shape[1], NOT_ASKED) for name in probes}
    for fold in np.unique(folds):
        is_asked = folds == fold
        _answer(scenes, is_asked, videos, videos.scenes, np.flatnonzero(~is_asked), is_asked, probes)
        for number, homes in enumerate(assignments):
            in_play = np.isin(videos.scenes, homes)
            asked, trained = in_play & is_asked, in_play & ~is_asked
            home = np.flatnonzero(trained & (homes[videos.classes] == videos.scenes))
            spread = _spread(videos, np.flatnonzero(trained), home, rng)
            _answer(biased, (number, asked), videos, videos.classes, home, asked, probes)
            _answer(unbiased, (number, asked), videos, videos.classes, spread, asked, probes)
    return Answers(biased, unbiased, scenes)


def _answer(
    found: ByProbe,
    place: np.ndarray | tuple[int, np.ndarray],
    videos: Videos,
    labels: np.ndarray,
    trained: np.ndarray,
    asked: np.ndarray,
    probes: Mapping[str, Probe],
) -> None:
    """Writes each probe's answers for videos `asked`, after training on those at `trained`, to its place."""
    for name, probe in probes.items():
        found[name][place] = probe(videos.vectors[trained], labels[trained], videos.vectors[asked])


def _spread(videos: Videos, rows: np.ndarray, home: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws from `rows` as many videos of each class as in `home`, as evenly over scenes as there are videos."""
    rows = rng.permutation(rows)
    rank = np.zeros(len(rows), np.int64)  # within class and scene
    cells = videos.classes[rows] * (1 + videos.scenes.max()) + videos.scenes[rows]
    for cell in np.unique(cells):
        rank[cells == cell] = np.arange((cells == cell).sum())
    rows = rows[rank.argsort(kind="stable")]  # in turns of the scenes, in random order within a turn
    wanted = np.bincount(videos.classes[home], minlength=1 + videos.classes.max())
    return np.concatenate([rows[videos.classes[rows] == label][:count] for label, count in enumerate(wanted)])
