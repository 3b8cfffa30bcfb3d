"""Draws embedded videos: one column per checkpoint, one row per attribute to color by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tbe.evaluation.tasks.tsne.points import Points
from tbe.viz.palette import style

PANEL, LARGE_PANEL = 4.6, 6.5  # inches; the large one for many names
LEGEND_ROWS = 26
LEGEND_MARKER = 6.5  # points across


def draw_points(columns: dict[str, Points], file: Path) -> None:
    """Draws the points of each checkpoint; colors stand for the same names in all columns of a row."""
    named = next(iter(columns.values())).named
    names = {kind: _ordered(columns, kind) for kind in named}
    legend_columns = max(-(-len(found) // LEGEND_ROWS) for found in names.values())
    longest = max(len(name) for found in names.values() for name in found)
    side = PANEL if legend_columns == 1 else LARGE_PANEL
    width = side * len(columns) + legend_columns * (0.4 + 0.075 * longest)
    figure = Figure(figsize=(width, side * len(names)), layout="constrained")
    panels = figure.subplots(len(names), len(columns), squeeze=False)
    for row, (kind, found) in zip(panels, names.items(), strict=True):
        for panel, (title, points) in zip(row, columns.items(), strict=True):
            _draw_panel(panel, points, points.named[kind], found)
            panel.set_title(f"{title}: by {kind}", fontsize=10, wrap=True, parse_math=False)
        legend = row[-1].legend(
            row[-1].collections,
            found,
            title=kind,
            loc="center left",
            bbox_to_anchor=(1.02, 0.5),
            ncols=-(-len(found) // LEGEND_ROWS),
            fontsize=8,
            frameon=False,
            markerscale=LEGEND_MARKER / _size(len(points.xy)),
            handletextpad=0.2,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # a name may contain dollar signs
    figure.savefig(file, dpi=150, bbox_inches="tight")


def _draw_panel(panel: Axes, points: Points, names: list[str], known: list[str]) -> None:
    each = np.array(names)
    for number, name in enumerate(known):
        color, shape = style(number)
        of_class = points.xy[each == name]
        panel.scatter(
            of_class[:, 0],
            of_class[:, 1],
            s=_size(len(each)) ** 2,
            c=color,
            marker=list(shape),  # type: ignore[arg-type]  # any list of points is a marker
            alpha=0.85,
            edgecolor="black",
            linewidth=0.3,
        )
    panel.set(xticks=[], yticks=[])
    panel.set_box_aspect(1)


def _size(count: int) -> float:
    """Returns the marker size in typographic points, smaller for many points."""
    return float(np.clip(80 / np.sqrt(count), 3.5, 6.5))


def _ordered(columns: dict[str, Points], kind: str) -> list[str]:
    """Returns the names of all columns, sorted, so that colors do not depend on the choice of checkpoints."""
    return sorted({name for points in columns.values() for name in points.named[kind]})
