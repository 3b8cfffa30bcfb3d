"""Draws training curves as SVG charts: one per metric, with one line per run."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from tbe.reporting.html.folders import CURVES, Run, read_rows
from tbe.reporting.html.markup import Markup, tag
from tbe.viz.palette import COLORS

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 8, 178  # the plot area within the chart
MAX_POINTS = 600
YELLOW, BLACK = "#F0E442", "#000000"
# Yellow is hard to see on white, black on dark backgrounds.
LINES = [("var(--ink)" if color == BLACK else color) for color in COLORS if color != YELLOW]
DASHES = (None, "6 3", "2 2", "8 3 2 3")

Points = list[tuple[int, float]]


class Line(NamedTuple):
    """The values of a metric of one run, by step."""

    name: str
    color: str
    dash: str | None
    points: Points


def read_lines(runs: list[Run]) -> dict[str, list[Line]]:
    """Returns the lines of each metric, by name, learning rates last; a run has the same style in all charts."""
    curved = [run for run in runs if (run.folder / CURVES).exists()]
    lines: dict[str, list[Line]] = {}
    for number, run in enumerate(curved):
        color, dash = LINES[number % len(LINES)], DASHES[number // len(LINES) % len(DASHES)]
        for metric, points in _points(run).items():
            lines.setdefault(metric, []).append(Line(run.label, color, dash, _thinned(points)))
    return dict(sorted(lines.items(), key=lambda metric: ("/" not in metric[0], metric[0])))


def chart(metric: str, lines: list[Line]) -> Markup:
    """Returns a chart whose legend shows the values at the step under the pointer or reached by arrow keys."""
    steps = [step for line in lines for step, _ in line.points]
    values = [value for line in lines for _, value in line.points]
    x_ticks, y_ticks = _ticks(min(steps), max(steps)), _ticks(min(values), max(values), outward=True)
    # A constant metric is drawn in the middle of its chart.
    span = (min(steps), max(steps)), (min(*values, *y_ticks), max(*values, *y_ticks))
    axes = [tag("text", "step", x=LEFT - 8, y=BOTTOM + 16, text_anchor="end")]
    axes += [_tick(LEFT, _y(tick, span), LEFT - 5, _y(tick, span) + 4, tick, "end") for tick in y_ticks]
    axes += [_tick(_x(tick, span), BOTTOM, _x(tick, span), BOTTOM + 16, tick, "middle") for tick in x_ticks]
    drawn = [_drawn(line, span) for line in lines]
    cursor = tag("line", class_="cursor", x1=LEFT, x2=LEFT, y1=TOP, y2=BOTTOM)
    data = [
        [[step, value, round(_x(step, span), 1), round(_y(value, span), 1)] for step, value in line.points]
        for line in lines
    ]
    svg = tag(
        "svg", *axes, *drawn, cursor,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", tabindex=0, role="img", data_lines=json.dumps(data, separators=(",", ":")),
        aria_label=f"{metric} by step; the arrow keys move along it",
    )  # fmt: skip
    return tag(
        "figure",
        tag("figcaption", tag("b", metric), " ", tag("small", "last", class_="at")),
        svg,
        tag("ul", *map(_legend, lines), class_="legend", aria_live="polite"),
        class_="chart",
    )


def _points(run: Run) -> dict[str, Points]:
    """Returns the finite values of each metric by step."""
    head, *rows = read_rows(run.folder / CURVES) or [[]]
    points: dict[str, Points] = {name: [] for name in head if name not in ("epoch", "step")}
    for row in rows:
        cells = {name: _number(cell) for name, cell in zip(head, row, strict=False)}
        for name, found in points.items():
            step, value = cells.get("step", math.nan), cells.get(name, math.nan)
            if math.isfinite(step) and math.isfinite(value):
                found.append((int(step), value))
    return {name: found for name, found in points.items() if found}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _thinned(points: Points) -> Points:
    """Reduces points to screen resolution: the minimum and maximum of each interval, and the last point."""
    if len(points) <= MAX_POINTS:
        return points
    size = math.ceil(2 * len(points) / MAX_POINTS)
    kept: Points = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _ticks(low: float, high: float, outward: bool = False) -> list[float]:
    """Returns about four multiples of 1, 2 or 5 times a power of ten within [low, high]; enclosing it if `outward`."""
    if low == high:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    up, down = (math.floor, math.ceil) if outward else (math.ceil, math.floor)
    slack = 1e-9 if outward else -1e-9  # tolerance for rounding errors
    return [float(f"{number * step:.12g}") for number in range(up(low / step + slack), down(high / step - slack) + 1)]


Span = tuple[tuple[float, float], tuple[float, float]]


def _x(step: float, span: Span) -> float:
    return _placed(step, *span[0], LEFT, RIGHT)


def _y(value: float, span: Span) -> float:
    return _placed(value, *span[1], BOTTOM, TOP)


def _placed(value: float, low: float, high: float, start: float, end: float) -> float:
    share = 0.5 if low == high else (value - low) / (high - low)
    return start + share * (end - start)


def _tick(x: float, y: float, text_x: float, text_y: float, value: float, anchor: str) -> Markup:
    """Returns a grid line at a value of an axis, with its label."""
    end = (RIGHT, y) if anchor == "end" else (x, TOP)
    line = tag("line", class_="grid", x1=round(x, 1), y1=round(y, 1), x2=round(end[0], 1), y2=round(end[1], 1))
    text = tag(
        "text",
        _short(value) if anchor == "end" else f"{value:.10g}",
        x=round(text_x, 1),
        y=round(text_y, 1),
        text_anchor=anchor,
    )
    return Markup(line + text)


def _short(value: float) -> str:
    """Formats a value in at most seven characters."""
    text = f"{value:.4g}"
    return text if len(text) <= 7 else f"{value:.1e}"


def _drawn(line: Line, span: Span) -> Markup:
    places = [(round(_x(step, span), 1), round(_y(value, span), 1)) for step, value in line.points]
    way = " ".join(f"{x},{y}" for x, y in places)
    path = tag("polyline", points=way, stroke=line.color, stroke_dasharray=line.dash)
    x, y = places[-1]
    return Markup(path + tag("circle", cx=x, cy=y, r=3, fill=line.color))


def _legend(line: Line) -> Markup:
    stroke = tag("line", x1=0, x2=22, y1=5, y2=5, stroke=line.color, stroke_width=3, stroke_dasharray=line.dash)
    swatch = tag("svg", stroke, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")
    return tag("li", swatch, tag("span", line.name), tag("output", f"{line.points[-1][1]:.4g}"))
