"""The random parameters of one clip of the embedded data set, and the actor's motion that they define."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Turns per period of the phases (x, y, angle, size, aspect): an action moves some and leaves the others still.
ACTIONS = {
    "sideways": (1, 0, 0, 0, 0),
    "up_down": (0, 1, 0, 0, 0),
    "orbit": (1, 1, 0, 0, 0),
    "spin": (0, 0, 1, 0, 0),
    "pulse": (0, 0, 0, 1, 0),
    "figure_eight": (1, 2, 0, 0, 0),
    "hop": (1, 1, 0, 0, 0),
    "squash": (0, 0, 0, 0, 1),
}
HOP = list(ACTIONS).index("hop")


class Clip(NamedTuple):
    """All parameters of a clip.

    Lengths are shares of the picture's side, except `camera_motion`, in pixels; phases are turns in [0, 1);
    `period` is in frames; `direction` is -1 or 1; `brightness` is added to the scene's 8-bit values; `actor_size` is
    a factor.
    """

    action: int
    scene: int
    actor: int
    direction: int
    period: float
    amplitude: float
    center_x: float
    center_y: float
    phase_x: float
    phase_y: float
    phase_angle: float
    phase_size: float
    phase_aspect: float
    beat: float
    scene_x: float
    scene_y: float
    brightness: float
    camera_motion: float
    camera_x: float
    camera_y: float
    actor_size: float


class Motion(NamedTuple):
    """Position, angle, size and aspect of the actor in each frame, (T,) each; shares of the side, and radians."""

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    size: np.ndarray
    aspect: np.ndarray


def draw_clip(
    rng: np.random.Generator,
    action: int,
    scene: int,
    num_actors: int,
    camera_motion: float,
    scene_variety: float = 1.0,
    actor_size: float = 1.0,
) -> Clip:
    """Draws a clip of this action in front of this scene; the draws depend on neither.

    `scene_variety` scales how much framing and lighting of a scene vary from clip to clip; 0 for not at all.
    """
    return Clip(
        action=action,
        scene=scene,
        actor=int(rng.integers(num_actors)),
        direction=int(rng.choice((-1, 1))),
        period=rng.uniform(12, 16),
        amplitude=rng.uniform(0.11, 0.16),
        center_x=rng.uniform(-0.12, 0.12),
        center_y=rng.uniform(-0.12, 0.12),
        phase_x=rng.random(),
        phase_y=rng.random(),
        phase_angle=rng.random(),
        phase_size=rng.random(),
        phase_aspect=rng.random(),
        beat=rng.random(),
        scene_x=scene_variety * rng.uniform(-0.25, 0.25),
        scene_y=scene_variety * rng.uniform(-0.25, 0.25),
        brightness=scene_variety * rng.uniform(-10, 10),
        camera_motion=float(camera_motion),
        camera_x=rng.random(),
        camera_y=rng.random(),
        actor_size=float(actor_size),
    )


def motion(clip: Clip, num_frames: int) -> Motion:
    """Returns the actor's motion.

    All five phases are drawn uniformly for every action, and an action only turns some of them, so each stays uniform
    and independent in every frame: a single frame carries no information about the action. For the same reason, no
    action becomes another when a clip is flipped left to right or played backwards.
    """
    turns = clip.direction * np.arange(num_frames) / clip.period
    if clip.action == HOP:
        turns = np.floor(3 * turns + clip.beat) / 4  # three jumps per period, a quarter of a turn each
    rates = list(ACTIONS.values())[clip.action]
    phases = (clip.phase_x, clip.phase_y, clip.phase_angle, clip.phase_size, clip.phase_aspect)
    x, y, angle, size, aspect = (2 * np.pi * (phase + rate * turns) for phase, rate in zip(phases, rates, strict=True))
    return Motion(
        x=0.5 + clip.center_x + clip.amplitude * np.cos(x),
        y=0.5 + clip.center_y + clip.amplitude * np.cos(y),
        angle=angle,
        size=clip.actor_size * np.exp(0.4 * np.cos(size)),
        aspect=np.exp(0.35 * np.cos(aspect)),
    )


def write_clips(file: str | os.PathLike, paths: list[str], clips: list[Clip]) -> None:
    """Writes a table with one row per clip; numbers are read back exactly."""
    with open(file, "w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(("path", *Clip._fields))
        rows.writerows((path, *clip) for path, clip in zip(paths, clips, strict=True))


def read_clips(file: str | os.PathLike) -> list[Clip]:
    """Reads the clips of a table that `write_clips` wrote."""
    integers = {"action", "scene", "actor", "direction"}
    with Path(file).open(newline="", encoding="utf-8") as table:
        return [
            Clip._make((int if name in integers else float)(row[name]) for name in Clip._fields)
            for row in csv.DictReader(table)
        ]
