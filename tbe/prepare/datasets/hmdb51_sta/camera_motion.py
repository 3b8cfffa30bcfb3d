"""Measures the camera motion of a video: the displacement of most of the picture from one frame to the next.

Squares of both frames are registered by phase correlation; the median of their displacements is that of the background
as long as actors fill less than half of the usable squares. Pans, zooms and rotations all displace squares. Squares
without contrast, at the black borders that a stabiliser leaves, or with different content in the two frames are not
usable. Displacements of up to a third of a square are found; if no small square is usable, large ones are tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tbe.errors import UserError

SHORT_SIDE = 120  # pixels: frames are to be downscaled to it
SQUARES = (48, 120)  # pixels, with a step of half a square
MAX_FREQUENCY = 0.15  # cycles per pixel: above it there is mostly compression noise
MIN_CONTRAST = 4.0  # gray levels, standard deviation of a square
MAX_BORDER_LEVEL = 10  # gray level of a black border
MAX_BLACK = 0.05  # share of a square
MIN_PEAK = 0.3  # of the correlation, which is 1 for two equal squares


class CameraMotion(NamedTuple):
    """motion: mean displacement per frame as a share of the short side; pairs: number of usable pairs of frames."""

    motion: float
    pairs: int


def camera_motion(frames: Iterable[np.ndarray]) -> CameraMotion:
    """Measures camera motion over gray frames uint8 (H, W) of one size; raises UserError if no pair is usable."""
    displacements = []
    short_side = 1
    for before, after in pairwise(frames):
        short_side = min(before.shape)
        sizes = (size for size in SQUARES if size <= short_side)
        shifts = next((shifts for size in sizes if len(shifts := square_shifts(before, after, size))), None)
        if shifts is not None:
            displacements.append(float(np.median(np.hypot(*shifts.T))))
    if not displacements:
        raise UserError(f"expected two frames of {SQUARES[0]} pixels with contrast and similar content, got none")
    return CameraMotion(float(np.mean(displacements)) / short_side, len(displacements))


def square_shifts(before: np.ndarray, after: np.ndarray, size: int) -> np.ndarray:
    """Returns displacements (n, 2), down and right in pixels, of the usable squares of two frames (H, W)."""
    squares = np.stack([_squares(before, size), _squares(after, size)])
    usable = (squares.std(axis=(2, 3)) >= MIN_CONTRAST).all(axis=0)
    inside = usable & ((squares <= MAX_BORDER_LEVEL).mean(axis=(2, 3)) <= MAX_BLACK).all(axis=0)
    usable = inside if inside.any() else usable  # a dark scene has black everywhere
    if not usable.any():
        return np.zeros((0, 2))
    squares = squares[:, usable].astype(np.float32)
    squares -= squares.mean(axis=(2, 3), keepdims=True)
    spectra = np.fft.rfft2(squares * _window(size))
    cross = spectra[1] * spectra[0].conj()
    weights = _low_pass(size)
    surface = np.fft.irfft2(weights * cross / np.maximum(np.abs(cross), 1e-6), s=(size, size))
    surface /= np.fft.irfft2(weights, s=(size, size)).max()
    peaks = surface.reshape(len(surface), -1)
    clear = peaks.max(axis=1) >= MIN_PEAK
    row, column = np.divmod(peaks.argmax(axis=1), size)
    shifts = np.stack([_refined(surface, row, column, axis=1), _refined(surface, row, column, axis=2)], axis=1)
    return ((shifts + size / 2) % size - size / 2)[clear]


def _refined(surface: np.ndarray, row: np.ndarray, column: np.ndarray, axis: int) -> np.ndarray:
    """Returns the subpixel position of each peak along an axis: the top of the parabola through its neighbors."""
    number = np.arange(len(surface))
    place = row if axis == 1 else column
    left, peak, right = (np.roll(surface, -step, axis=axis)[number, row, column] for step in (-1, 0, 1))
    return place + (left - right) / np.minimum(2 * (left - 2 * peak + right), -1e-6)


def _squares(frame: np.ndarray, size: int) -> np.ndarray:
    """Returns all squares of a frame, (n, size, size)."""
    windows = np.lib.stride_tricks.sliding_window_view(frame, (size, size))[:: size // 2, :: size // 2]
    return windows.reshape(-1, size, size)


@cache
def _window(size: int) -> np.ndarray:
    """Returns a Hann window, which fades out the borders of a square; they would correlate with each other."""
    profile = np.hanning(size + 2)[1:-1].astype(np.float32)
    return profile[:, None] * profile


@cache
def _low_pass(size: int) -> np.ndarray:
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    return np.exp(-(rows**2 + columns**2) / (2 * MAX_FREQUENCY**2)).astype(np.float32)
