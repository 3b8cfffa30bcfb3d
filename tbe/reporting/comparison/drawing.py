"""Plots means over seeds with intervals: points of each variant, and curves over a varied number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tbe.evaluation.intervals import t_interval
from tbe.reporting.comparison.runs import Run, called
from tbe.reporting.comparison.table import measured
from tbe.reporting.comparison.varied import Varied
from tbe.viz.palette import COLORS

MARKERS = "os^DvPX*"
MAX_COLUMNS = 4


def draw_points(variants: dict[str, list[Run]], metrics: Sequence[str], file: Path) -> None:
    """Draws a panel per metric, a line per variant: seeds as rings, their mean as a dot, the 95 % interval as a bar.

    Where each variant has others that differ from it in the last setting alone, that setting has the colors, and lines
    part those that differ in the others.
    """
    colors, breaks = _colors([of_variant[0].settings for of_variant in variants.values()])
    figure, panels = _panels(len(metrics), (3, 0.8 + 0.28 * len(variants)), left=1)
    for panel, metric in zip(panels, metrics, strict=True):
        for row, of_variant in enumerate(variants.values()):
            values, color = measured(of_variant, metric), colors[row]
            panel.plot(values, np.full(len(values), row), "o", markersize=4, markerfacecolor="none", color=color)
            _interval(panel, row, values, color)
        _frame(panel, metric, values_of=[measured(of_variant, metric) for of_variant in variants.values()])
        for row in breaks:
            panel.axhline(row - 0.5, color="0.8", linewidth=0.8)
        panel.set_yticks(range(len(variants)), list(variants), fontsize=8)
        panel.set_ylim(len(variants) - 0.5, -0.5)
        panel.tick_params(labelleft=panel.get_subplotspec().is_first_col())
    figure.savefig(file, dpi=150)


def draw_curves(variants: dict[str, list[Run]], varied: Varied, metrics: Sequence[str], file: Path) -> None:
    """Draws one panel per metric over the varied number: means, with 95 % intervals as bands."""
    has_names = len({of_variant[0].name for of_variant in variants.values()}) > 1
    lines: dict[str, dict[float, list[Run]]] = {}
    for of_variant in variants.values():
        first = of_variant[0]
        lines.setdefault(called(first, has_names, varied.setting), {})[varied.of(first.settings)] = of_variant
    figure, panels = _panels(len(metrics), (3.2, 3.2), left=0.5)
    for panel, metric in zip(panels, metrics, strict=True):
        for number, (name, points) in enumerate(lines.items()):
            places = sorted(points)
            values = [measured(points[place], metric) for place in places]
            color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
            panel.plot(places, [found.mean() for found in values], color=color, marker=marker, label=name)
            if min(map(len, values)) > 1:
                low, high = zip(*map(t_interval, values), strict=True)
                panel.fill_between(places, low, high, color=color, alpha=0.15, linewidth=0)
        panel.set(xlabel=varied.label, title=metric)
        panel.set_ylim(_limits([measured(of_variant, metric) for of_variant in variants.values()]))
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(lines)))
    figure.savefig(file, dpi=150)


def _colors(settings: Sequence[Mapping[str, str]]) -> tuple[list[str], list[int]]:
    """Returns the color of each variant, and the rows at which the settings before the last one become others."""
    keys = list(settings[0])
    plain = [COLORS[row % len(COLORS)] for row in range(len(settings))]
    if len(keys) < 2 or any(list(own) != keys for own in settings):
        return plain, []
    values = list(dict.fromkeys(own[keys[-1]] for own in settings))
    sizes = [len(list(group)) for _, group in groupby(settings, lambda own: [own[key] for key in keys[:-1]])]
    if min(sizes) < 2:
        return plain, []
    return [COLORS[values.index(own[keys[-1]]) % len(COLORS)] for own in settings], list(accumulate(sizes))[:-1]


def _panels(count: int, size: tuple[float, float], left: float) -> tuple[Figure, list[Axes]]:
    """Creates a figure with rows of panels of this (width, height) in inches, and extra space on the left."""
    columns = min(count, MAX_COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(left + size[0] * columns, size[1] * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def _interval(panel: Axes, row: int, values: np.ndarray, color: str) -> None:
    panel.plot(values.mean(), row, "o", markersize=6, color=color)
    if len(values) > 1:
        panel.hlines(row, *t_interval(values), color=color, linewidth=2)


def _frame(panel: Axes, metric: str, values_of: Sequence[np.ndarray]) -> None:
    panel.set_title(metric, fontsize=8)
    panel.set_xlim(_limits(values_of))
    panel.grid(axis="x", linewidth=0.4)
    panel.spines[["top", "right"]].set_visible(False)


def _limits(values_of: Sequence[np.ndarray]) -> tuple[float, float] | None:
    """Returns (0, 100) for values that fit in; None, for automatic limits, otherwise."""
    values = np.concatenate(values_of)
    is_percent = np.nanmin(values) >= 0 and 1 < np.nanmax(values) <= 100
    return (0, 102) if is_percent else None
