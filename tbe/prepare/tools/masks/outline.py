"""The outline of what differs from a wall."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

DIFFERS, SURE = 5.0, 10.0  # times the noise: where someone may be, and what shows that someone is
LEAST = 0.05  # share of the largest piece: smaller ones are specks
HOLE = 0.02  # share of the picture: smaller holes are parts of someone in the color of the wall
SCALE = 144  # pixels of the short side at which an edge is one pixel wide


def pixels(shape: tuple[int, ...]) -> int:
    """Returns the width of an edge in pictures (H, W), in pixels."""
    return max(1, round(min(shape[:2]) / SCALE))


def distance(difference: np.ndarray, noise: float) -> np.ndarray:
    """Returns how far differences (H, W, C) are from none, (H, W) in multiples of the noise, averaged over an edge."""
    side = 2 * pixels(difference.shape) + 1
    smooth = ndimage.uniform_filter(difference, (side, side, 0), mode="nearest")
    return np.sqrt(np.square(smooth).mean(axis=-1)) / noise


def outline(distances: np.ndarray) -> np.ndarray:
    """Returns pieces, without specks and small holes, that differ everywhere and surely do somewhere, bool (H, W)."""
    pieces, count = ndimage.label(distances > DIFFERS)
    if not count:
        return pieces > 0
    numbers = np.arange(count + 1)
    area = np.bincount(pieces.ravel(), minlength=count + 1)
    sure = ndimage.maximum(distances, pieces, numbers) > SURE
    sure[0] = False
    found = (sure & (area >= LEAST * area[sure].max(initial=0)))[pieces]
    holes, count = ndimage.label(~found)
    small = np.bincount(holes.ravel(), minlength=count + 1) < HOLE * found.size
    # A hole at the lower border is one, as people are cut off there; at the others it is the wall.
    small[np.unique(np.concatenate([holes[0], holes[:, 0], holes[:, -1]]))] = False
    small[0] = False
    return found | small[holes]
