"""Colors and marker shapes of classes, distinguishable by the color-blind."""

from __future__ import annotations

import math
from typing import NamedTuple

# Okabe and Ito's colors (https://jfly.uni-koeln.de/color/); yellow, hard to see on white, towards the end.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
AMOUNTS = "Blues"  # Matplotlib's colormap for amounts: white is zero, darker is more
HEAT = "viridis"  # and for heat maps over pictures: every step is lighter than the one before

Shape = tuple[tuple[float, float], ...]


class Style(NamedTuple):
    """The marker of a class: a color, and the corners of a shape within the unit circle."""

    color: str
    shape: Shape


def style(number: int) -> Style:
    """Returns the marker of class `number`: the first 104 all differ, any eight in a row in both color and shape."""
    # 8 and 13 are coprime, so that a pair repeats only after 8 * 13 classes.
    return Style(COLORS[number % len(COLORS)], SHAPES[number % len(SHAPES)])


def _ring(corners: int, turn: float = 0.0, inner: float = 1.0) -> Shape:
    """Returns corners on the unit circle, the first at the top; `inner`: the radius of every second one."""
    angles = [2 * math.pi * (corner / corners + turn) for corner in range(corners)]
    radii = [1.0 if corner % 2 == 0 else inner for corner in range(corners)]
    return tuple(
        (radius * math.sin(angle), radius * math.cos(angle)) for angle, radius in zip(angles, radii, strict=True)
    )


def _bar(wide: float, high: float) -> Shape:
    return ((-wide, -high), (wide, -high), (wide, high), (-wide, high))


def _plus(arm: float) -> Shape:
    quarter: Shape = ((-arm, arm), (-arm, 1.0), (arm, 1.0))
    turned = [quarter]
    for _ in range(3):
        turned.append(tuple((y, -x) for x, y in turned[-1]))
    return tuple(point for part in turned for point in part)


def _turned(shape: Shape, turn: float) -> Shape:
    sine, cosine = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
    return tuple((cosine * x - sine * y, sine * x + cosine * y) for x, y in shape)


SHAPES = (
    _ring(24),
    _ring(4, turn=1 / 8),
    _ring(3),
    _ring(4),
    _ring(3, turn=1 / 2),
    _plus(0.3),
    _ring(10, inner=0.4),
    _turned(_plus(0.3), turn=1 / 8),
    _ring(3, turn=1 / 4),
    _bar(1.0, 0.4),
    _ring(3, turn=3 / 4),
    _bar(0.4, 1.0),
    _ring(8, inner=0.35),
)
