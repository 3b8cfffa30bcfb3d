"""Formats means over seeds with intervals as a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tbe.errors import UserError
from tbe.evaluation.intervals import Interval, t_interval
from tbe.reporting.comparison.runs import Run


def measured(of_variant: Sequence[Run], metric: str) -> np.ndarray:
    """Returns the values of a metric, one per seed; raises UserError if a run has none."""
    lacking = [run.seed for run in of_variant if metric not in run.metrics]
    if lacking:
        known = ", ".join(sorted(of_variant[0].metrics)) or "none"
        raise UserError(
            f"expected the metric {metric} of every run, seed {lacking[0]} of {of_variant[0].name} has: {known}"
        )
    return np.array([run.metrics[metric] for run in of_variant])


def markdown(variants: dict[str, list[Run]], metrics: Sequence[str], references: Mapping[str, str]) -> str:
    """Returns one line per variant, one column per metric: the mean, and half its 95 % interval over several seeds.

    references: the variant that each is compared with. Bold: the interval is entirely above that one's. Italics:
    entirely below. A dash: the number is undefined for one of the seeds.
    """
    lines = ["| | seeds | " + " | ".join(metrics) + " |", "|---|---" + "|---:" * len(metrics) + "|"]
    digits = {metric: _digits(variants, metric) for metric in metrics}
    for name, of_variant in variants.items():
        reference = variants[references[name]] if name in references else None
        cells = []
        for metric in metrics:
            values = measured(of_variant, metric)
            others = None if reference is None else measured(reference, metric)
            mark = "" if others is None or min(len(values), len(others)) < 2 else _mark(values, others)
            cells.append(f"{mark}{_cell(values, digits[metric])}{mark}")
        seeds = ", ".join(str(run.seed) for run in of_variant)
        lines.append(f"| {name} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def paired_markdown(
    variants: dict[str, list[Run]], metrics: Sequence[str], references: Mapping[str, str], title: str
) -> str:
    """Returns one line per variant: the mean difference to its reference over the seeds of both, with its interval.

    title: heads the first column. Variants that share fewer than two seeds with their reference are left out; returns
    "" if none is left. Bold, italics: the 95 % interval lies above zero, below it.
    """
    lines = []
    for name, reference in references.items():
        by_seed = {run.seed: run for run in variants[reference]}
        pairs = [(run, by_seed[run.seed]) for run in variants[name] if run.seed in by_seed]
        if len(pairs) < 2:
            continue
        own, other = zip(*pairs, strict=True)
        cells = [
            _difference(measured(own, metric) - measured(other, metric), _digits(variants, metric))
            for metric in metrics
        ]
        lines.append(f"| {name} | {', '.join(str(run.seed) for run in own)} | " + " | ".join(cells) + " |")
    if not lines:
        return ""
    head = [f"| {title} | seeds | " + " | ".join(metrics) + " |", "|---|---" + "|---:" * len(metrics) + "|"]
    return "\n".join(head + lines) + "\n"


def _digits(variants: Mapping[str, Sequence[Run]], metric: str) -> int:
    """Returns the decimals of a metric: one, as of percentages, or so many that its largest value has three digits."""
    largest = max(float(np.nan_to_num(np.abs(measured(of, metric)), nan=0.0).max()) for of in variants.values())
    return 1 if largest >= 1 or not largest else 2 - math.floor(math.log10(largest))


def _difference(values: np.ndarray, digits: int) -> str:
    if np.isnan(values).any():
        return "-"
    interval = t_interval(values)
    mark = "**" if interval.low > 0 else "*" if interval.high < 0 else ""
    return f"{mark}{values.mean():+.{digits}f} ± {(interval.high - interval.low) / 2:.{digits}f}{mark}"


def _mark(values: np.ndarray, reference: np.ndarray) -> str:
    own, other = t_interval(values), t_interval(reference)
    return "**" if own.low > other.high else "*" if own.high < other.low else ""


def _cell(values: np.ndarray, digits: int) -> str:
    if np.isnan(values).any():  # a fraction of zero in at least one of the seeds
        return "-"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    interval: Interval = t_interval(values)
    return f"{values.mean():.{digits}f} ± {(interval.high - interval.low) / 2:.{digits}f}"
