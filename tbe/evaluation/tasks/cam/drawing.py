"""Draws maps over videos, as animations and strips of frames."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tbe.evaluation.tasks.cam.maps import KINDS
from tbe.viz.animations import draw_videos
from tbe.viz.to_rgb import overlay


class Films(NamedTuple):
    """Videos uint8 (v, T, S, S, 3), their heat maps kind -> (v, T, S, S) in [0, 1], and their titles."""

    frames: np.ndarray
    heat: dict[str, np.ndarray]
    titles: list[str]


def save(file: Path, films: Films) -> None:
    """Writes films to a file, with heat maps in 256 steps."""
    steps = {kind: (255 * heat).round().astype(np.uint8) for kind, heat in films.heat.items()}
    np.savez_compressed(file, frames=films.frames, titles=np.array(films.titles), **steps)


def load(file: Path) -> Films:
    """Reads a file written by `save`."""
    with np.load(file) as arrays:
        heat = {kind: arrays[kind] / np.float32(255) for kind in KINDS if kind in arrays}
        return Films(arrays["frames"], heat, arrays["titles"].tolist())


def draw(file: Path, films: Films, heat: dict[str, np.ndarray], fps: float) -> None:
    """Draws heat maps over the videos: `<file>.gif`, `<file>.mp4`, and `<file>.png`, a strip of frames."""
    shown = {"clip": films.frames, **{name: overlay(films.frames, found) for name, found in heat.items()}}
    draw_videos(file, shown, films.titles, fps)
