"""Confidence intervals and standard deviations, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

MAX_DRAWN = 2**22  # values drawn at once
NORMAL = 1.96  # standard errors on either side cover 95 % of a normal distribution


class Interval(NamedTuple):
    """The lower and upper end of a confidence interval."""

    low: float
    high: float


def bootstrap_interval(values: np.ndarray, draws: int = 10_000, seed: int = 0) -> Interval:
    """Returns the 95 % bootstrap interval of the mean of values (n,): percentiles over `draws` resampled means.

    Efron, Canadian Journal of Statistics 1981.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, MAX_DRAWN // len(values))
    sizes = [min(rows, draws - start) for start in range(0, draws, rows)]
    means = [values[rng.integers(len(values), size=(size, len(values)))].mean(axis=1) for size in sizes]
    return Interval(*np.percentile(np.concatenate(means), [2.5, 97.5]).tolist())


def crossed_bootstrap(sums: np.ndarray, counts: np.ndarray, draws: int = 10_000, seed: int = 0) -> np.ndarray:
    """Returns resampled means (M, draws) of M measures, whose values are crossed by rows and columns.

    sums, counts: (M, R, C), of the values in each cell, which may have none. Rows and columns are resampled
    independently, the same ones for all measures: differences between measures are paired. nan for a draw without
    values. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007.
    """
    _, num_rows, num_columns = sums.shape
    rng = np.random.default_rng(seed)
    at_once = max(1, MAX_DRAWN // max(num_rows, num_columns))
    means = []
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size) for n in (num_rows, num_columns))
        totals, numbers = (((rows @ cells) * columns).sum(axis=-1) for cells in (sums, counts))
        means.append(np.divide(totals, numbers, out=np.full(totals.shape, np.nan), where=numbers > 0))
    return np.concatenate(means, axis=1)


def half_interval(values: np.ndarray) -> float:
    """Returns half the 95 % interval of the mean of values (n,), by the standard error; 0 for a single value."""
    return NORMAL * deviation(values) / len(values) ** 0.5


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """Returns the standard deviation of a sample; 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def t_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Returns Student's 95 % interval of the mean of independent, roughly normal values (n,); raises for n < 2."""
    if len(values) < 2:
        raise ValueError(f"t_interval: expected at least two values, got {len(values)}")
    half = float(student.ppf(0.975, len(values) - 1)) * deviation(values) / len(values) ** 0.5
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half)
