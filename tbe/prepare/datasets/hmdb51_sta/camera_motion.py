"""How much the camera moves in a video: how far most of the picture is displaced from one frame to the next.

Squares of both frames are registered by phase correlation; the median of their displacements is that of the background
as long as actors fill less than half of the squares that tell one. Pans, zooms and turns all displace squares. Squares
without contrast, at the black borders that a stabiliser leaves, or of which the two frames show different things tell
nothing. Displacements of up to a third of a square are found; where small squares tell none, large ones are asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tbe.errors import UserError

SHORT_SIDE = 120  # pixels: what frames are to be reduced to
SQUARES = (48, 120)  # pixels, half of which is the step from one to the next
DETAIL = 0.15  # cycles a pixel: finer ones are mostly noise of the compression
CONTRAST = 4.0  # gray levels: the least standard deviation of a square
BLACK = 10  # gray level of a border, at most
MAX_BLACK = 0.05  # share of a square
AGREEMENT = 0.3  # height of the correlation's peak, at least; it is 1 for two equal squares


class CameraMotion(NamedTuple):
    """motion: displacement in shares of the short side a frame, averaged over pairs; pairs: frames that told one."""

    motion: float
    pairs: int


def camera_motion(frames: Iterable[np.ndarray]) -> CameraMotion:
    """The motion of the camera over gray frames (H, W) uint8 of one size; ValueError when no pair of them tells one."""
    displacements = []
    short_side = 1
    for before, after in pairwise(frames):
        short_side = min(before.shape)
        sizes = (size for size in SQUARES if size <= short_side)
        shifts = next((shifts for size in sizes if len(shifts := square_shifts(before, after, size))), None)
        if shifts is not None:
            displacements.append(float(np.median(np.hypot(*shifts.T))))
    if not displacements:
        raise UserError(f"expected two frames of {SQUARES[0]} pixels with contrast that show the same, got none")
    return CameraMotion(float(np.mean(displacements)) / short_side, len(displacements))


def square_shifts(before: np.ndarray, after: np.ndarray, size: int) -> np.ndarray:
    """Displacements (n, 2), down and right in pixels, of those squares of two frames (H, W) that tell theirs."""
    squares = np.stack([_squares(before, size), _squares(after, size)])
    told = (squares.std(axis=(2, 3)) >= CONTRAST).all(axis=0)
    inside = told & ((squares <= BLACK).mean(axis=(2, 3)) <= MAX_BLACK).all(axis=0)
    told = inside if inside.any() else told  # a dark scene has black everywhere
    if not told.any():
        return np.zeros((0, 2))
    squares = squares[:, told].astype(np.float32)
    squares -= squares.mean(axis=(2, 3), keepdims=True)
    spectra = np.fft.rfft2(squares * _window(size))
    cross = spectra[1] * spectra[0].conj()
    weights = _low_pass(size)
    surface = np.fft.irfft2(weights * cross / np.maximum(np.abs(cross), 1e-6), s=(size, size))
    surface /= np.fft.irfft2(weights, s=(size, size)).max()
    peaks = surface.reshape(len(surface), -1)
    clear = peaks.max(axis=1) >= AGREEMENT
    row, column = np.divmod(peaks.argmax(axis=1), size)
    shifts = np.stack([_refined(surface, row, column, axis=1), _refined(surface, row, column, axis=2)], axis=1)
    return ((shifts + size / 2) % size - size / 2)[clear]


def _refined(surface: np.ndarray, row: np.ndarray, column: np.ndarray, axis: int) -> np.ndarray:
    """The place of each peak along an axis, at the top of the parabola through it and its two neighbors."""
    number = np.arange(len(surface))
    place = row if axis == 1 else column
    left, peak, right = (np.roll(surface, -step, axis=axis)[number, row, column] for step in (-1, 0, 1))
    return place + (left - right) / np.minimum(2 * (left - 2 * peak + right), -1e-6)


def _squares(frame: np.ndarray, size: int) -> np.ndarray:
    """All squares of a frame, (n, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(frame, (size, size))[:: size // 2, :: size // 2]
    return windows.reshape(-1, size, size)


@cache
def _window(size: int) -> np.ndarray:
    """Fades a square out towards its borders, which otherwise correlate with each other: a Hann window."""
    profile = np.hanning(size + 2)[1:-1].astype(np.float32)
    return profile[:, None] * profile


@cache
def _low_pass(size: int) -> np.ndarray:
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    return np.exp(-(rows**2 + columns**2) / (2 * DETAIL**2)).astype(np.float32)
