"""Draws the gradients of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tbe.viz.palette import COLORS

LINE, MAX_HEIGHT = 0.17, 80.0  # inches per layer and of the whole picture
MEAN, LARGEST = COLORS[0], COLORS[5]


def draw_layers(rows: Sequence[tuple[int, str, float, float]], file: Path) -> None:
    """Draws rows (step, layer, mean, max): one line per layer, points at the medians over steps, bars over their range.

    The scale is logarithmic; a layer without any gradient is marked at its left end.
    """
    layers = list(dict.fromkeys(layer for _, layer, _, _ in rows))
    steps = sorted({step for step, _, _, _ in rows})
    places = np.arange(len(layers))
    width = 5.5 + 0.075 * max(map(len, layers))
    figure = Figure(figsize=(width, min(MAX_HEIGHT, LINE * len(layers) + 1.4)), layout="constrained")
    panel = figure.subplots()
    sizes = [_by_layer(rows, layers, column) for column in (0, 1)]
    positive = np.concatenate([values for of_kind in sizes for values in of_kind])
    left_end = positive[positive > 0].min() / 3 if (positive > 0).any() else 1e-12
    for values, color, marker, label in zip(sizes, (MEAN, LARGEST), "o^", ("mean", "largest"), strict=True):
        low, middle, high = (
            np.array([statistic(of_layer) for of_layer in values]) for statistic in (np.min, np.median, np.max)
        )
        shown = high > 0
        low, middle = (np.maximum(values, left_end) for values in (low, middle))  # of steps without a gradient
        panel.hlines(places[shown], low[shown], high[shown], color, linewidth=2.5, alpha=0.35)
        panel.plot(middle[shown], places[shown], marker, color=color, markersize=4, label=f"{label} |gradient|")
    none = np.array([of_layer.max() == 0 for of_layer in sizes[1]])
    if none.any():
        panel.plot(np.full(none.sum(), left_end), places[none], "x", color="black", markersize=5, label="no gradient")
    panel.set_xscale("log")
    panel.set_yticks(places, layers, fontsize=7)
    panel.set_ylim(len(layers) - 0.4, -0.6)
    panel.grid(axis="both", color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(axis="x", labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    when = f"{len(steps)} steps, {steps[0]} to {steps[-1]}: median and range" if len(steps) > 1 else f"step {steps[0]}"
    panel.set_xlabel(f"|gradient| of {when}", fontsize=8)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(file, dpi=150)


def _by_layer(rows: Sequence[tuple[int, str, float, float]], layers: list[str], column: int) -> list[np.ndarray]:
    by_layer: dict[str, list[float]] = {layer: [] for layer in layers}
    for _, layer, *sizes in rows:
        by_layer[layer].append(sizes[column])
    return [np.array(values) for values in by_layer.values()]
