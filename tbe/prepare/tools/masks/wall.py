"""Fits the color of a plain wall to what stays in a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from tbe.prepare.tools.masks.outline import distance, outline, pixels

RIM = 0.1  # share of the short side: a wall is expected along the upper, left and right border
GRID = 20_000  # pixels that a surface is fitted to
OUTLIER = 3.0  # standard deviations
NEAR = 1 / 30  # of the short side: within it, what a surface misses of the wall is averaged
LEAST_NOISE = 0.7  # levels: compressed walls can be smoother than what the encoder leaves around people
MOST_ROUGH, LEAST_WALL = 8.0, 0.2  # levels, and share of the median frame: beyond, there is no plain wall


class Wall(NamedTuple):
    """color: float32 (H, W, 3); seen: where the median frame shows the wall, bool (H, W); noise: of a frame, in levels;
    roughness: of the wall about a smooth surface, in levels."""

    color: np.ndarray
    seen: np.ndarray
    noise: float
    roughness: float

    @property
    def doubt(self) -> str:
        """Says why this is no plain wall filmed by a camera that stays; '' if it may be one."""
        if self.roughness <= MOST_ROUGH and self.seen.mean() >= LEAST_WALL:
            return ""
        return (
            f"no plain wall: the median frame is within {OUTLIER * self.roughness:.0f} levels of a smooth color, in "
            f"{self.seen.mean():.0%} of the picture (expected {OUTLIER * MOST_ROUGH:.0f} in {LEAST_WALL:.0%} or more): "
            "a textured place, or a camera that moves"
        )


def fitted_wall(sample: Sequence[np.ndarray]) -> Wall:
    """Fits a wall to pictures uint8 (H, W, 3) of a video: polynomials of degree 3, and what is left of the wall nearby.

    Whoever stays in place is in the median, too, and is told from the wall by color.
    """
    median = np.median(np.stack(sample), axis=0).astype(np.float32)
    surface, seen, roughness = _surface(median)
    color, noise = surface, roughness
    for _ in range(2):  # the second time, without the outline of whoever stays in place
        seen = ndimage.binary_erosion(_from_rim(seen), iterations=2 * pixels(seen.shape), border_value=1)
        if not seen.any():
            break
        color = surface + _mean_nearby(median - surface, seen)
        noise = max(
            LEAST_NOISE, *(_deviation(picture[seen] - color[seen]) for picture in sample[:: len(sample) // 8 + 1])
        )
        seen = ~outline(distance(median - color, noise))
    return Wall(color, seen, noise, roughness)


def _from_rim(seen: np.ndarray) -> np.ndarray:
    """Returns the parts that touch the upper, left or right border: others are clothes in the color of the wall."""
    parts, count = ndimage.label(seen)
    touches = np.zeros(count + 1, bool)
    touches[np.concatenate([parts[0], parts[:, 0], parts[:, -1]])] = True
    touches[0] = False
    return touches[parts]


def _surface(median: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns a smooth surface (H, W, 3), where the median frame is near it, and by how much it differs there."""
    height, width = median.shape[:2]
    step = max(1, round(np.sqrt(height * width / GRID)))
    part = median[::step, ::step]
    values, (rows, columns) = part.reshape(-1, 3), part.shape[:2]
    border = max(1, round(RIM * min(rows, columns)))
    upper = np.zeros((rows, columns), bool)
    upper[:border] = upper[:, :border] = upper[:, -border:] = True
    rim = upper.ravel()
    inside, weights = rim, np.ones(len(values), np.float32)
    for degree, rounds in ((1, 10), (2, 5), (3, 10)):
        terms = _terms(rows, columns, degree)
        for _ in range(rounds):
            used = rim if degree == 1 else inside  # the border, then all that continues it
            scale = (weights * used)[:, None]
            factors = np.linalg.lstsq(terms * scale, values * scale, rcond=None)[0]
            error = np.abs(values - terms @ factors).max(axis=1)
            if degree == 1:  # least absolute differences: somebody may stand before a part of the border
                weights = 1 / np.sqrt(np.maximum(error, 1))
            roughness = max(1.0, 1.4826 * float(np.median(error[used])))
            inside = error < OUTLIER * roughness
        weights = np.ones(len(values), np.float32)
    surface = (_terms(height, width, 3) @ factors).reshape(height, width, 3)
    return surface, np.abs(median - surface).max(axis=-1) < OUTLIER * roughness, roughness


def _terms(height: int, width: int, degree: int) -> np.ndarray:
    """Returns the powers x^i y^j of a polynomial at each pixel, float32 (H * W, n)."""
    row, column = (
        axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    )
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([column**i * row**j for i, j in powers], axis=1).astype(np.float32)


def _mean_nearby(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the mean of known values (H, W, C) about each pixel; 0 where none is near."""
    sigma = NEAR * min(known.shape)
    mass = ndimage.gaussian_filter(known.astype(np.float32), sigma)[..., None]
    sums = ndimage.gaussian_filter(np.where(known[..., None], values, 0).astype(np.float32), (sigma, sigma, 0))
    return np.where(mass > 0.01, sums / np.maximum(mass, 0.01), 0)


def _deviation(values: np.ndarray) -> float:
    """Returns the standard deviation of values (n, C) by their median, after removing the offset of each channel."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values, axis=0))))
