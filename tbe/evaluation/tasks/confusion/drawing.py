"""Draws a confusion matrix."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tbe.viz.palette import AMOUNTS

CELL, LARGE_CELL = 0.15, 0.5  # inches; large cells contain their number
MAX_WITH_NUMBERS = 25  # classes
UNSEEN = "0.85"  # gray: a class without videos
TICKS = (0, 1, 5, 20, 50, 100)  # of the color scale, which gives small shares more room
MIN_WIDTH = 3.4  # inches


def draw_matrix(shares: np.ndarray, names: list[str], title: str, file: Path) -> None:
    """Draws shares (n, n) from 0 to 1: rows are true classes, columns predicted ones; nan rows are gray."""
    count = len(names)
    cell = LARGE_CELL if count <= MAX_WITH_NUMBERS else CELL
    side = max(MIN_WIDTH, cell * count)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    panel = figure.subplots()
    colors = matplotlib.colormaps[AMOUNTS].with_extremes(bad=UNSEEN)
    image = panel.imshow(100 * shares, cmap=colors, norm=PowerNorm(0.5, 0, 100), interpolation="nearest")
    size = 9 if count <= MAX_WITH_NUMBERS else 7
    # Names may hold dollar signs.
    panel.set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
    panel.set_yticks(range(count), names, fontsize=size, parse_math=False)
    panel.tick_params(length=2, width=0.5)
    panel.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="0.9", linewidth=0.3)
    panel.tick_params(which="minor", length=0)
    panel.set(xlabel="predicted", ylabel="true")
    panel.set_title(title, fontsize=10 if count <= MAX_WITH_NUMBERS else 14, wrap=True, parse_math=False)
    bar = figure.colorbar(image, ax=panel, shrink=min(1.0, 4 / side), aspect=20, ticks=TICKS, format="%.0f")
    bar.set_label("percent of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if count <= MAX_WITH_NUMBERS:
        _write_numbers(panel, 100 * shares)
    figure.savefig(file, dpi=150, bbox_inches="tight")


def _write_numbers(panel: Axes, percents: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(percents):
        if value >= 0.5:  # also false for nan
            color = "white" if value > 35 else "black"
            panel.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=color)
