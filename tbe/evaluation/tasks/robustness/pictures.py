"""Draws background robustness: bars of probes, and curves over the weight of added frames."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from tbe.viz.palette import COLORS

TITLES = {"head_top1": "trained head, top-1", "linear_top1": "linear classifier, top-1", "R@1": "retrieval, R@1"}
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--")

Scores = dict[str, dict[str, float]]  # checkpoint -> '<probe>/<measure>' -> percent


def draw_bars(scores: Scores, probes: list[str], file: Path) -> None:
    """Draws a panel per measure with a group of bars per probe, a bar per checkpoint; a line at the clean score."""
    measures = _measures(scores)
    figure, panels = plt.subplots(
        len(measures), 1, figsize=(1.2 * len(probes) + 2, 2.9 * len(measures)), squeeze=False, layout="constrained"
    )
    width = 0.8 / len(scores)
    for panel, measure in zip(panels[:, 0], measures, strict=True):
        for number, (name, row) in enumerate(scores.items()):
            places = np.arange(len(probes)) + (number + 0.5) * width - 0.4
            values = [row.get(f"{probe}/{measure}", np.nan) for probe in probes]
            color, hatch = COLORS[number % len(COLORS)], HATCHES[number % len(HATCHES)]
            bars = panel.bar(places, values, width, label=name, color=color, hatch=hatch, edgecolor="white")
            if len(scores) <= 3:
                panel.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
            panel.axhline(row[f"clean/{measure}"], color=color, linewidth=0.8, linestyle=":")
        panel.set_xticks(range(len(probes)), [probe.replace("_", "\n") for probe in probes])
        panel.set(ylabel="percent", ylim=(0, 108), title=TITLES[measure])
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(scores)))
    _save(figure, file)


def draw_curves(scores: Scores, weights: tuple[float, ...], file: Path) -> None:
    """Draws the scores over the weight of an added frame of the clip (left) or of another background (right)."""
    measures = _measures(scores)
    titles = {"added_frame": "a frame of the clip added", "added_backdrop": "another video's background added"}
    figure, panels = plt.subplots(
        len(measures), 2, figsize=(9, 2.9 * len(measures)), squeeze=False, sharey="row", layout="constrained"
    )
    for line, measure in zip(panels, measures, strict=True):
        for panel, (probe, title) in zip(line, titles.items(), strict=True):
            for number, (name, row) in enumerate(scores.items()):
                values = [row[f"clean/{measure}"], *(row[f"{probe}_{weight:g}/{measure}"] for weight in weights)]
                color, marker = COLORS[number % len(COLORS)], "os^DvPX*"[number % 8]
                panel.plot([0, *weights], values, color=color, marker=marker, label=name)
            panel.set(xlabel="weight", ylim=(0, 102), title=title)
            panel.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(f"{TITLES[measure]}\npercent")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(scores)))
    _save(figure, file)


def _measures(scores: Scores) -> list[str]:
    """Returns the measures that all checkpoints have."""
    return [kind for kind in TITLES if all(f"clean/{kind}" in row for row in scores.values())]


def _save(figure: plt.Figure, file: Path) -> None:
    figure.savefig(file, dpi=150)
    plt.close(figure)
