"""Maps over the videos, as films and strips of frames."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tbe.evaluation.tasks.cam.maps import KINDS
from tbe.viz.animations import draw_videos
from tbe.viz.to_rgb import overlay


class Films(NamedTuple):
    """Some videos uint8 (v, T, S, S, 3), heat over them: kind -> [0, 1] (v, T, S, S), and the videos' titles."""

    frames: np.ndarray
    heat: dict[str, np.ndarray]
    titles: list[str]


def save(file: Path, films: Films) -> None:
    """Keeps what can be drawn, heat in 256 steps."""
    steps = {kind: (255 * heat).round().astype(np.uint8) for kind, heat in films.heat.items()}
    np.savez_compressed(file, frames=films.frames, titles=np.array(films.titles), **steps)


def load(file: Path) -> Films:
    """What `save` wrote."""
    with np.load(file) as arrays:
        heat = {kind: arrays[kind] / np.float32(255) for kind in KINDS if kind in arrays}
        return Films(arrays["frames"], heat, arrays["titles"].tolist())


def draw(file: Path, films: Films, heat: dict[str, np.ndarray], fps: float) -> None:
    """Draws the videos and these heats over them: `<file>.gif`, `<file>.mp4`, and `<file>.png`, a strip of frames."""
    shown = {"clip": films.frames, **{name: overlay(films.frames, found) for name, found in heat.items()}}
    draw_videos(file, shown, films.titles, fps)
