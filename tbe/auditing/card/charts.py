"""Draws the bars, curves and dots of a card as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tbe.auditing.card.texts import CLIPS
from tbe.auditing.measures import Estimate
from tbe.auditing.record import Audited
from tbe.reporting.html.curves import DASHES, LINES
from tbe.reporting.html.markup import Markup, tag

WIDTH, LEFT, RIGHT = 360, 108, 350  # of the drawing; of the plot area
BAR, GAP = 8, 8  # the height of a bar, and between groups
MAX_NAME = 17  # letters that have room left of the plot area
HEIGHT, TOP, BOTTOM = 200, 8, 172  # of the curves


def bars(models: Sequence[tuple[str, Mapping[str, Estimate]]]) -> Markup:
    """Returns a group of bars for each clip, one per model with its interval; a line marks the model's `own`."""
    group = BAR * len(models) + GAP
    height = group * len(CLIPS) + 24
    parts = [_tick(value, height - 18) for value in range(0, 101, 25)]
    for place, clip in enumerate(CLIPS):
        y = place * group + GAP / 2
        parts.append(tag("text", clip, x=LEFT - 6, y=y + (group - GAP) / 2 + 4, text_anchor="end"))
        for number, (_, found) in enumerate(models):
            bar = found.get(f"{clip}_top1")
            if bar is not None and bar.is_known:
                parts.append(_bar(bar, found["own_top1"].value, y + number * BAR, _color(number)))
    label = "top-1 of each changed clip, in percent"
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)
    return tag("figure", svg, _legend([name for name, _ in models]), class_="chart")


def dots(models: Sequence[tuple[str, Sequence[float], Estimate]], title: str) -> Markup:
    """Returns a row for each model: its seeds as dots, their mean as a bar, and the interval of the mean, 0 to 100."""
    height = 24 * len(models) + 24
    parts = [_tick(value, height - 18) for value in range(0, 101, 25)]
    for number, (name, seeds, mean) in enumerate(models):
        y = 24 * number + 12
        if len(name) <= MAX_NAME:
            parts.append(tag("text", name, x=LEFT - 6, y=y + 4, text_anchor="end"))
        if mean.is_known:
            across = {"y1": y, "y2": y, "x1": _along(_within(mean.low)), "x2": _along(_within(mean.high))}
            parts.append(tag("line", class_="whisker", **across))
            x = _along(_within(mean.value))
            parts.append(tag("line", x1=x, x2=x, y1=y - 7, y2=y + 7, stroke=_color(number), stroke_width=3))
        known = (value for value in seeds if value == value)
        parts += [tag("circle", cx=_along(_within(value)), cy=y, r=3.5, fill=_color(number)) for value in known]
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title)
    return tag("figure", tag("figcaption", title), svg, _legend([name for name, _, _ in models]), class_="chart")


def curves(audits: list[Audited], reader: str, kind: str, title: str) -> Markup:
    """Returns top-1 over the weight of what is mixed in; kind: `frame` or `backdrop`."""
    models = [one for one in audits if reader in one.readers]
    parts = [_level(value) for value in range(0, 101, 25)]
    weights = sorted({0.0, *(weight for one in models for weight in one.about["weights"])})
    parts += [tag("text", f"{weight:g}", x=_across(weight), y=BOTTOM + 16, text_anchor="middle") for weight in weights]
    for number, audited in enumerate(models):
        found = audited.measures[reader]
        points = [(0.0, found["clean_top1"].value)]
        points += [(weight, found[f"{kind}_{weight:g}_top1"].value) for weight in audited.about["weights"]]
        places = " ".join(f"{_across(weight):.1f},{_height(value):.1f}" for weight, value in points)
        style = {"stroke": _color(number), "stroke_dasharray": DASHES[number % len(DASHES)]}
        parts.append(tag("polyline", points=places, **style))
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    return tag("figure", tag("figcaption", title), svg, _legend([one.name for one in models]), class_="chart")


def _bar(bar: Estimate, control: float, y: float, color: str) -> Markup:
    """Returns a bar with its interval, and a line where the control lies."""
    drawn = [
        tag("rect", x=LEFT, y=y, width=_along(bar.value) - LEFT, height=BAR - 1, fill=color),
        tag("line", class_="whisker", x1=_along(bar.low), x2=_along(bar.high), y1=y + 3.5, y2=y + 3.5),
        tag("line", class_="control", x1=_along(control), x2=_along(control), y1=y - 1, y2=y + BAR, stroke=color),
    ]
    return Markup("".join(drawn))


def _tick(value: int, bottom: float) -> Markup:
    line = tag("line", class_="grid", x1=_along(value), x2=_along(value), y1=0, y2=bottom)
    return Markup(line + tag("text", str(value), x=_along(value), y=bottom + 14, text_anchor="middle"))


def _level(value: int) -> Markup:
    line = tag("line", class_="grid", x1=40, x2=RIGHT, y1=_height(value), y2=_height(value))
    return Markup(line + tag("text", str(value), x=34, y=_height(value) + 4, text_anchor="end"))


def _along(percent: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * percent / 100, 1)


def _within(percent: float) -> float:
    """Returns a percentage, or the end of the axis that lies beyond."""
    return min(100.0, max(0.0, percent))


def _across(weight: float) -> float:
    return round(46 + (RIGHT - 56) * weight, 1)


def _height(percent: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * percent / 100, 1)


def _color(number: int) -> str:
    return LINES[number % len(LINES)]


def _legend(names: Sequence[str]) -> Markup:
    rows = []
    for number, name in enumerate(names):
        line = tag("line", x1=0, x2=22, y1=5, y2=5, stroke=_color(number), stroke_width=5)
        swatch = tag("svg", line, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")
        rows.append(tag("li", swatch, tag("span", name)))
    return tag("ul", *rows, class_="legend")
