"""Balanced assignments of classes to home scenes."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

MAX_LISTED = 100_000  # assignments, balanced or not, that are gone through to find all balanced ones
TRIES = 20  # draws for each assignment wanted, some of which repeat earlier ones
NEVER, LATE = 1e6, 1e3  # costs, far above those that are drawn: of an impossible home, and of a scene's extra class


def balanced_assignments(possible: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Returns the home scene of each class, int64 (A, K), of all balanced assignments, or of `most` drawn ones.

    possible: bool (K, S), whether a scene can be a class's home. Each scene is the home of K / S classes, rounded up or
    down. Six classes in two scenes have 20 such assignments. There may be none: (0, K).
    """
    num_classes, num_scenes = possible.shape
    if num_scenes**num_classes <= MAX_LISTED:
        found = [
            homes
            for homes in product(*(np.flatnonzero(row).tolist() for row in possible))
            if _is_balanced(homes, num_scenes)
        ]
        if len(found) <= most:
            return np.array(found, np.int64).reshape(len(found), num_classes)
        chosen = np.random.default_rng(seed).permutation(len(found))[:most]
        return np.array([found[number] for number in sorted(chosen)], np.int64)
    drawn = _draw(possible, most, seed)
    return np.array(drawn, np.int64).reshape(len(drawn), num_classes)


def _is_balanced(homes: tuple[int, ...], num_scenes: int) -> bool:
    counts = np.bincount(homes, minlength=num_scenes)
    return counts.max() - counts.min() <= 1


def _draw(possible: np.ndarray, most: int, seed: int) -> list[tuple[int, ...]]:
    """Draws different assignments: classes are matched at random costs with the places that scenes have for them."""
    rng = np.random.default_rng(seed)
    num_classes, num_scenes = possible.shape
    each, extra = divmod(num_classes, num_scenes)
    scene_of = np.tile(np.arange(num_scenes), each + (extra > 0))
    cost = np.where(possible[:, scene_of], 0.0, NEVER)
    cost[:, each * num_scenes :] += LATE  # only for classes that are left when every scene has its share
    found: dict[tuple[int, ...], None] = {}  # in the order of the draws
    for _ in range(TRIES * most):
        drawn = cost + rng.random(cost.shape)
        classes, places = linear_sum_assignment(drawn)
        if drawn[classes, places].sum() >= NEVER:
            return []
        found[tuple(scene_of[places].tolist())] = None
        if len(found) == most:
            break
    return list(found)
