"""Renders a clip: an actor in front of a procedural scene, seen by a slightly moving camera."""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np

from tbe.data.biased_scenes.clip_parameters import Clip, motion

RADIUS = 0.11  # of an actor at rest, as a share of the picture's side
SHAPES = ("bar", "triangle", "cross", "disc")
# An actor's channels are 10 or 245 and a scene's stay within [45, 210]: no actor can vanish in front of a scene.
PALETTES = (
    ((245, 245, 10), (10, 10, 245)),
    ((245, 10, 10), (10, 245, 245)),
    ((245, 245, 245), (10, 10, 10)),
    ((10, 245, 10), (245, 10, 245)),
)
MAX_ACTORS = len(SHAPES) * len(PALETTES)
SCENES = ("stripes", "checker", "rings", "blobs", "dots", "waves", "bricks", "plaid")


class Rendering(NamedTuple):
    """frames: uint8 (T, H, W, 3); mask: bool (T, H, W), true where the actor covers a pixel, even partly."""

    frames: np.ndarray
    mask: np.ndarray


def render(clip: Clip, num_frames: int, size: int, seed: int) -> Rendering:
    """Renders a clip of `size` x `size` pixels; `seed` is that of the scenes."""
    frames = background(clip, num_frames, size, seed)
    cover, first_half = _actor(clip, num_frames, size)
    mask = cover > 0
    palette = PALETTES[(clip.actor % len(SHAPES) + clip.actor // len(SHAPES)) % len(PALETTES)]
    colors = np.where(first_half[mask][:, None], *np.array(palette, np.float32))
    behind = frames[mask]
    frames[mask] = behind + cover[mask][:, None] * (colors - behind) + 0.5  # rounds: uint8 cuts the fraction off
    return Rendering(frames, mask)


def background(clip: Clip, num_frames: int, size: int, seed: int) -> np.ndarray:
    """Renders the scene of a clip without its actor, uint8 (T, H, W, 3)."""
    column, row = _grid(clip, num_frames, size)
    dark, light, frequency, tilt = _scene(clip.scene, seed)
    column = 2 * np.pi * frequency * (column / size - 0.5 + clip.scene_x)
    row = 2 * np.pi * frequency * (row / size - 0.5 + clip.scene_y)
    along = np.cos(tilt) * column + np.sin(tilt) * row
    across = np.cos(tilt) * row - np.sin(tilt) * column
    texture = _texture(SCENES[clip.scene % len(SCENES)], along.astype(np.float32), across.astype(np.float32))
    middle = 0.5 * (dark + light) + np.float32(clip.brightness)
    half = 0.5 * (light - dark)
    channels = [texture * half[channel] + (middle[channel] + 0.5) for channel in range(3)]
    return np.stack([channel.astype(np.uint8) for channel in channels], axis=-1)  # + 0.5: uint8 cuts the fraction off


def actor_mask(clip: Clip, num_frames: int, size: int) -> np.ndarray:
    """Returns the mask of `render`, without rendering the frames."""
    return _actor(clip, num_frames, size)[0] > 0


def scene_name(scene: int) -> str:
    """Returns a scene's number and texture; scenes of equal texture differ in color, frequency and tilt."""
    return f"{scene}_{SCENES[scene % len(SCENES)]}"


def _actor(clip: Clip, num_frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the actor's coverage of each pixel, 0 or in [0.1, 1], and where its first half is, (T, H, W) each."""
    column, row = _grid(clip, num_frames, size)
    x, y, angle, scale, aspect = (value[:, None, None].astype(np.float32) for value in motion(clip, num_frames))
    radius = RADIUS * size * scale
    column, row = column - size * x, row - size * y
    along = (np.cos(angle) * column + np.sin(angle) * row) / (radius * aspect)
    across = (np.cos(angle) * row - np.sin(angle) * column) / (radius / aspect)
    cover = np.clip(0.5 - radius * _shape(SHAPES[clip.actor % len(SHAPES)], along, across), 0, 1)
    # Less coverage could be rounded away, and the mask would mark pixels that show no actor.
    return np.where(cover < 0.1, np.float32(0), cover), along > 0


def _grid(clip: Clip, num_frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns world columns (T, 1, W) and rows (T, H, 1) of the pixel centers, with a slow drift and a slight shake."""
    time = 2 * np.pi * np.arange(num_frames, dtype=np.float32)[:, None, None]
    pixels = np.arange(size, dtype=np.float32) + 0.5
    shift_x, shift_y = (
        clip.camera_motion * (0.85 * np.sin(time / 40 + 2 * np.pi * phase) + 0.15 * np.sin(time / 5 + 11 * phase))
        for phase in (clip.camera_x, clip.camera_y)
    )
    return pixels[None, None, :] + shift_x.astype(np.float32), pixels[None, :, None] + shift_y.astype(np.float32)


def _scene(scene: int, seed: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Returns two colors (3,) in [55, 200], the periods per picture side, and a tilt in radians."""
    first_hue = np.random.default_rng(seed).random()
    rng = np.random.default_rng((seed, scene))
    # Golden ratio steps: hues are far apart for any number of scenes, so no scene depends on that number.
    hue = first_hue + scene * 0.618034
    dark = colorsys.hsv_to_rgb((hue + rng.uniform(0.05, 0.15)) % 1, 0.8, 0.4)
    light = colorsys.hsv_to_rgb(hue % 1, 0.6, 1.0)
    dark, light = (np.float32(55) + np.float32(145) * np.array(color, np.float32) for color in (dark, light))
    return dark, light, rng.uniform(2.5, 4.5), rng.uniform(0, np.pi)


def _texture(name: str, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Returns the texture's values in [-1, 1] at coordinates in radians."""
    if name == "stripes":
        return np.sin(along)
    if name == "checker":
        return np.tanh(4 * np.sin(along) * np.sin(across))
    if name == "rings":
        return np.sin(1.3 * np.hypot(along, across))
    if name == "blobs":
        waves = np.sin(0.7 * along + 1) + np.sin(0.5 * along + 0.8 * across) + np.sin(0.9 * across - 0.4 * along + 2)
        return np.tanh(2 * waves)
    if name == "dots":
        return np.tanh(3 * (np.cos(along) + np.cos(across) - 0.9))
    if name == "waves":
        return np.sin(along + 1.5 * np.sin(0.7 * across))
    if name == "bricks":
        in_row = np.cos(0.5 * along + 0.5 * np.pi * (np.floor(across / (2 * np.pi)) % 2))
        return np.tanh(4 * np.minimum(np.abs(np.sin(0.5 * across)) - 0.3, np.abs(in_row) - 0.2))
    return 0.5 * (np.sin(along) + np.sin(across))


def _shape(name: str, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Returns the approximate distance to the shape's edge in radii, negative inside."""
    along, across = np.abs(along) if name != "triangle" else along, across
    if name == "bar":
        return np.maximum(along - 1.1, np.abs(across) - 0.5)
    if name == "triangle":
        return np.maximum(-along - 0.6, 0.5 * along + 0.87 * np.abs(across) - 0.6)
    if name == "cross":
        across = np.abs(across)
        return np.minimum(np.maximum(along - 1.1, across - 0.4), np.maximum(along - 0.4, across - 1.1))
    return np.hypot(along, across) - 0.9
