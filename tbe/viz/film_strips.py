"""Draws queries and their retrieved videos as rows of film strips in one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from tbe.viz.to_rgb import FLOW

FRAME_HEIGHT = 72  # pixels
TITLE_HEIGHT, MARGIN, GAP, LINE = 24, 10, 2, 4
FONT_SIZE = 9.5  # points
MAX_WIDE = 16 / 9
DPI = 100
# The Okabe-Ito palette, distinguishable by the color-blind; a sign repeats the information.
RIGHT, WRONG, NEUTRAL = "#009E73", "#D55E00", "#555555"
SIGNS = {True: ("✓ ", RIGHT), False: ("✗ ", WRONG), None: ("", NEUTRAL)}


class Strip(NamedTuple):
    """Frames of one video, uint8 (n, H, W, C), their title, and whether it is a correct result (None: no result)."""

    frames: np.ndarray
    title: str
    right: bool | None = None


def draw(rows: list[list[Strip]], file: Path) -> None:
    """Writes rows of strips, possibly of different lengths, as a PNG with all frames of one size."""
    strips = [strip for row in rows for strip in row]
    shapes = [strip.frames.shape for strip in strips]
    frame_width = round(FRAME_HEIGHT * min(MAX_WIDE, max(shape[2] / shape[1] for shape in shapes)))
    strip_width = max(shape[0] for shape in shapes) * (frame_width + GAP) - GAP
    step = np.array([strip_width + 2 * MARGIN, FRAME_HEIGHT + TITLE_HEIGHT + 2 * MARGIN])
    width, height = step * (max(map(len, rows)), len(rows))
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    for line, row in enumerate(rows):
        for column, strip in enumerate(row):
            left, top = step * (column, line) + MARGIN + (0, TITLE_HEIGHT)
            for number, frame in enumerate(strip.frames):
                start = left + number * (frame_width + GAP)
                canvas[top : top + FRAME_HEIGHT, start : start + frame_width] = _fitted(frame, frame_width)
            sign, color = SIGNS[strip.right]
            corner = (left - LINE / 2 - 1, top - LINE / 2 - 1)
            size = (strip_width + LINE + 1, FRAME_HEIGHT + LINE + 1)
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, linewidth=LINE * 72 / DPI))
            place = (left - LINE, top - LINE - 7)
            title = axes.text(*place, sign + strip.title, color=color, fontsize=FONT_SIZE, parse_math=False)
            _shorten(title, strip_width, renderer)
    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    figure.savefig(file, dpi=DPI)


def save_strips(rows: list[list[Strip]], file: Path) -> None:
    """Saves rows of strips, to be drawn beside other rows later."""
    arrays = {f"{line}_{column}": strip.frames for line, row in enumerate(rows) for column, strip in enumerate(row)}
    titles = [[(strip.title, strip.right) for strip in row] for row in rows]
    np.savez_compressed(file, allow_pickle=False, titles=np.array(json.dumps(titles)), **arrays)


def load_strips(file: Path) -> list[list[Strip]]:
    """Loads the rows that `save_strips` saved."""
    with np.load(file) as arrays:
        titles = json.loads(str(arrays["titles"]))
        return [
            [Strip(arrays[f"{line}_{column}"], title, right) for column, (title, right) in enumerate(row)]
            for line, row in enumerate(titles)
        ]


def _fitted(frame: np.ndarray, width: int) -> np.ndarray:
    """Fits a picture (H, W, C) into this width and FRAME_HEIGHT, uint8 RGB, keeping its aspect, on gray."""
    if frame.shape[2] == FLOW:  # like `to_rgb.pixels`
        frame = np.stack([frame[..., 0], np.full_like(frame[..., 0], 128), frame[..., 1]], axis=2)
    scale = min(FRAME_HEIGHT / frame.shape[0], width / frame.shape[1])
    height_inside, width_inside = (max(1, round(side * scale)) for side in frame.shape[:2])
    small = Image.fromarray(np.ascontiguousarray(frame)).resize((width_inside, height_inside), Image.Resampling.LANCZOS)
    fitted = np.full((FRAME_HEIGHT, width, 3), 230, dtype=np.uint8)
    top, left = (FRAME_HEIGHT - height_inside) // 2, (width - width_inside) // 2
    fitted[top : top + height_inside, left : left + width_inside] = np.asarray(small)
    return fitted


def _shorten(text: Text, width: int, renderer: RendererAgg) -> None:
    """Shortens a text with an ellipsis to at most this many pixels."""
    content = text.get_text()
    for length in range(len(content) - 1, 0, -1):
        if text.get_window_extent(renderer).width <= width:
            return
        text.set_text(content[:length] + "…")
