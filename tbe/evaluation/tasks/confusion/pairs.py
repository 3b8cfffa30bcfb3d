"""Lists pairs of classes by how often they are confused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Pair(NamedTuple):
    """The number of videos of a class predicted as another one, and their `percent` of the class."""

    true: str
    predicted: str
    videos: int
    percent: float


def confused_pairs(counts: np.ndarray, names: list[str]) -> list[Pair]:
    """Returns all pairs off the diagonal of counts (n, n) that occur, the largest share of a class first."""
    totals = counts.sum(axis=1)
    pairs = [
        Pair(names[true], names[predicted], int(counts[true, predicted]), 100 * counts[true, predicted] / totals[true])
        for true, predicted in np.argwhere(counts).tolist()
        if true != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair.percent, -pair.videos))


def write_csv(file: Path, pairs: list[Pair]) -> None:
    """Writes one row per pair."""
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(Pair._fields)
        rows.writerows((*pair[:3], f"{pair.percent:.2f}") for pair in pairs)


def write_markdown(file: Path, pairs: list[Pair]) -> None:
    """Writes a table with one row per pair."""
    lines = ["| class | taken for | videos | percent of the class |", "|---|---|---:|---:|"]
    for pair in pairs:
        true, predicted = (name.replace("|", "\\|") for name in pair[:2])
        lines.append(f"| {true} | {predicted} | {pair.videos} | {pair.percent:.1f} |")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
