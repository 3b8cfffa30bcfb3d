"""Points of embedded videos, with their paths and names."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tbe.data.sources.base import VideoSource
from tbe.data.sources.class_names import class_names, display_path


class Points(NamedTuple):
    """xy: (n, 2); paths: of the videos; named: attribute to color by ('class', 'scene') -> names of the videos."""

    xy: np.ndarray
    paths: list[str]
    named: dict[str, list[str]]


def describe(source: VideoSource, split: str, chosen: np.ndarray) -> tuple[list[str], dict[str, list[str]]]:
    """Returns paths, class names and, if known, scene names of the chosen videos of a split."""
    paths = [display_path(path) for path in source.records(split).select(chosen).paths.tolist()]
    return paths, {name: _names(labeled, split, chosen) for name, labeled in source.labelings().items()}


def write_points(file: Path, points: Points) -> None:
    """Writes one row per video."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["path", "x", "y", *points.named])
        columns = [points.paths, *points.xy.astype(float).T.tolist(), *points.named.values()]
        rows.writerows(zip(*columns, strict=True))


def read_points(file: Path) -> Points:
    """Reads a file written by `write_points`."""
    with file.open(newline="", encoding="utf-8") as table:
        heads, *rows = csv.reader(table)
    paths, x, y, *names = (list(column) for column in zip(*rows, strict=True))
    return Points(np.array([x, y], float).T, paths, dict(zip(heads[3:], names, strict=True)))


def _names(source: VideoSource, split: str, chosen: np.ndarray) -> list[str]:
    records = source.records(split)
    names = class_names(source, records)
    return [names[label] if 0 <= label < len(names) else "unknown" for label in records.labels[chosen].tolist()]
