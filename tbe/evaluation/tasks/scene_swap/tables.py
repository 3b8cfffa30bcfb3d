"""Tables of the scores: of each checkpoint with intervals, of differences, and of each assignment."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tbe.evaluation.tasks.scene_swap.scores import Scores, interval


def table(found: Mapping[str, Scores], draws: int, seed: int) -> list[str]:
    """Returns the lines of a table of all checkpoints, by name, and of one of their differences to the first.

    Cells are means with 95 % intervals. Differences are paired: of the same assignments and groups of videos.
    """
    means = {name: scores.means() for name, scores in found.items()}
    drawn = {name: scores.resampled(draws, seed) for name, scores in found.items()}
    names = list(next(iter(means.values())))
    first, *others = found
    lines = _markdown({kind: [_cell(means[name][kind], drawn[name][kind]) for name in found] for kind in names}, found)
    if not others:
        return lines
    differences = {
        kind: [
            _cell(means[name][kind] - means[first][kind], drawn[name][kind] - drawn[first][kind], "+")
            for name in others
        ]
        for kind in names
    }
    return [*lines, "", f"Minus {first}:", "", *_markdown(differences, others)]


def write_assignments(
    file: Path, assignments: np.ndarray, scores: Scores, classes: Sequence[str], scenes: Sequence[str]
) -> None:
    """Writes a row for each assignment (A, K): the home of each class, and the scores under it."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([*classes, *scores.means()])
        for number, homes in enumerate(assignments):
            alone = scores._replace(sums=scores.sums[:, [number]], counts=scores.counts[:, [number]]).means()
            writer.writerow([*(scenes[home] for home in homes), *(f"{value:.2f}" for value in alone.values())])


def _markdown(rows: Mapping[str, Sequence[str]], columns: Sequence[str] | Mapping[str, Scores]) -> list[str]:
    lines = ["| | " + " | ".join(columns) + " |", "|---" + "|---:" * len(columns) + "|"]
    return lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]


def _cell(mean: float, values: np.ndarray, sign: str = "") -> str:
    low, high = interval(values)
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
