"""Draws the views of videos as animations and strips, and words what was blended into them."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from tbe.preview.blending import Blend
from tbe.viz.animations import draw_videos
from tbe.viz.to_rgb import pixels


def draw_views(
    file: Path, views: dict[str, Tensor], normalized: tuple[Tensor, Tensor], titles: list[str], fps: float
) -> None:
    """Draws views (V, C, T, S, S) of V videos with these titles: `<file>.gif`, `<file>.mp4` and `<file>.png`.

    normalized: mean and standard deviation of the views' normalisation.
    """
    shown = {name: pixels(clips, *normalized) for name, clips in views.items()}
    draw_videos(file, shown, titles, fps)


def format_blend(blend: Blend, number: int, names: list[str]) -> str:
    """Describes what was blended into video `number` of a batch with these names."""
    if math.isnan(blend.weight):
        return "part of it replaced by another picture"
    if blend.weight == 0:
        return "nothing added"
    if blend.exchanged:
        return f"{blend.weight:.2f} of its background exchanged for that of {names[blend.source]}"
    if blend.source < 0:
        return f"+ {blend.weight:.2f} x a picture from outside the batch"
    of_other = "" if blend.source == number else f" of {names[blend.source]}"
    return f"+ {blend.weight:.2f} x frame {blend.frame + 1}{of_other}"
