"""Finds whoever is in front of a plain wall, with soft edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from tbe.prepare.tools.masks.finding import NUM_SAMPLED, Found, Video
from tbe.prepare.tools.masks.outline import distance, outline, pixels
from tbe.prepare.tools.masks.wall import Wall, fitted_wall

REACH = 3  # widths of an edge: within it, people have the color that they have at their outline


def find_before_wall(video: Video) -> Found:
    """Finds what differs from the wall behind; in doubt if there is no plain one."""
    wall = fitted_wall(video.sample(NUM_SAMPLED))
    return Found(_mattes(video, wall), wall.doubt)


def _mattes(video: Video, wall: Wall) -> Iterator[np.ndarray]:
    for picture in video.frames():
        difference = picture - wall.color
        if wall.seen.any():  # cameras change their exposure
            difference -= np.median(difference[wall.seen], axis=0)
        yield soft(difference, outline(distance(difference, wall.noise)))


def soft(difference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns the alpha, float32 (H, W), of an outline bool (H, W) about differences from the wall (H, W, C).

    One inside and zero outside. On the edge, where a picture is a mixture of person and wall, the share of the person:
    how far it is on the way from the wall to the color just inside.
    """
    width = pixels(found.shape)
    inside = ndimage.binary_erosion(found, iterations=width, border_value=1)
    edge = ndimage.binary_dilation(found, iterations=width) & ~inside
    side = 2 * REACH * width + 1
    mass = ndimage.uniform_filter(inside.astype(np.float32), side, mode="nearest")[..., None]
    person = ndimage.uniform_filter(difference * inside[..., None], (side, side, 0), mode="nearest")
    person /= np.maximum(mass, 1e-3)
    length = np.square(person).sum(axis=-1)
    share = (difference * person).sum(axis=-1) / np.maximum(length, 1e-3)
    share = np.where(length > 0, np.clip(share, 0, 1), found)  # of what is too thin to have an inside, all
    return np.where(edge, share, inside).astype(np.float32)
