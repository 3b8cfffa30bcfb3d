"""Blends an actor in front of another place, without a rim of the filmed one."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Levels of a matte below and above which a pixel counts as uncovered and fully covered: compressed mattes are not
# exactly 0 and 255 there.
NONE, ALL = 8, 247
PURITY = 8  # power of the weights with which pixels contribute to the estimate of an actor's light
MIN_MASS = 1e-6


def _linear(values: np.ndarray) -> np.ndarray:
    """Converts stored values in [0, 1] to linear light by the sRGB curve (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _stored(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


# Lookup tables, since powers are slow: the steps of the second are a twentieth of a level where it is steepest.
LIGHT = _linear(np.arange(256) / 255).astype(np.float32)
LEVELS = (255 * _stored(np.arange(65536) / 65535)).round().astype(np.uint8)


def coverage(levels: np.ndarray) -> np.ndarray:
    """Converts the levels of a matte, uint8 (H, W), to shares in [0, 1]."""
    return np.clip((levels.astype(np.float32) - NONE) / (ALL - NONE), 0, 1)


def shrunk(levels: np.ndarray, pixels: int) -> np.ndarray:
    """Erodes a matte (H, W) by this many pixels, except where the picture's border cuts the actor off."""
    for axis in (0, 1) if pixels else ():
        around = [(0, 0), (0, 0)]
        around[axis] = (pixels, pixels)
        windows = sliding_window_view(np.pad(levels, around, mode="edge"), 2 * pixels + 1, axis=axis)
        levels = windows.min(axis=-1)
    return levels


def blend(picture: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Blends the actor of a picture in front of a background, all uint8 (H, W, 3); alpha: (H, W) in [0, 1].

    Equals the picture where alpha is 1 and the background where it is 0, bit by bit; between, mixes linear light, with
    the actor's estimated by `actor_light`.
    """
    soft = (alpha > 0) & (alpha < 1)
    composed = np.where((alpha >= 1)[..., None], picture, background)
    if soft.any():
        share = alpha[soft][:, None]
        light = share * actor_light(picture, alpha)[soft] + (1 - share) * LIGHT[background[soft]]
        composed[soft] = LEVELS[(65535 * light).round().astype(np.int64)]
    return composed


def actor_light(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Estimates the linear light (H, W, 3) of the actor alone, also in pixels that show the filmed place, too.

    Actor and place are first estimated by the means of surrounding pixels that show hardly anything else; the residual
    goes to the actor in proportion to its coverage. After Forte (arXiv:2106.14711), in one pass: weights of this power
    leave as little of the filmed place as his two passes.
    """
    light, share = LIGHT[picture], alpha[..., None]
    radius = max(2, round(min(alpha.shape) / 24))
    actor, place = (_mean_about(light, weight**PURITY, radius) for weight in (share, 1 - share))
    return np.clip(actor + share * (light - share * actor - (1 - share) * place), 0, 1)


def _mean_about(light: np.ndarray, weight: np.ndarray, radius: int) -> np.ndarray:
    """Returns the weighted mean around each pixel; the pixel itself where all weights around it are zero."""
    mass = box_mean(weight, radius)
    return np.where(mass > MIN_MASS, box_mean(light * weight, radius) / np.maximum(mass, MIN_MASS), light)


def box_mean(values: np.ndarray, radius: int) -> np.ndarray:
    """Returns the mean over a square around each pixel of (H, W, C), with zeros beyond the border."""
    height, width = values.shape[:2]
    side = 2 * radius + 1
    around = (radius + 1, radius)
    sums = np.pad(values, (around, (0, 0), (0, 0))).cumsum(axis=0, dtype=np.float64)
    rows = sums[side:] - sums[:height]
    sums = np.pad(rows, ((0, 0), around, (0, 0))).cumsum(axis=1)
    return ((sums[:, side:] - sums[:, :width]) / side**2).astype(np.float32)
