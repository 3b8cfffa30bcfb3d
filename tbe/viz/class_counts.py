"""Draws the number of videos of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tbe.viz.palette import COLORS

BAR, MAX_HEIGHT = 0.16, 80.0  # inches per class and of the whole picture


def draw_counts(counts: dict[str, np.ndarray], names: list[str], title: str, file: Path) -> None:
    """Draws one bar per class for each split; counts: split -> (num_classes,)."""
    height = min(MAX_HEIGHT, max(0.5, BAR * len(names)) + 0.9)
    figure = Figure(figsize=(2.2 + 2.4 * len(counts), height), layout="constrained")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    rows = np.arange(len(names))
    for number, (panel, (split, of_split)) in enumerate(zip(panels, counts.items(), strict=True)):
        panel.barh(rows, of_split, color=COLORS[number % len(COLORS)], height=0.8)
        panel.set_title(f"{split}: {of_split.sum()} videos", fontsize=9)
        panel.set_xlabel("videos", fontsize=8)
        panel.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.05, y=0)
    panels[0].set_yticks(rows, names, parse_math=False)  # names may contain dollar signs
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.savefig(file, dpi=150)
