import numpy as np
import pytest
from scipy.stats import binom

import tbe.evaluation.intervals
from tbe.evaluation.intervals import bootstrap_interval, crossed_bootstrap, deviation, half_interval, t_interval


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for repetition in range(200):
        correct = rng.random(150) < 0.7
        interval = bootstrap_interval(correct, draws=1000, seed=repetition)
        covered += interval.low <= 0.7 <= interval.high
    assert 180 <= covered <= 198


def test_the_bootstrap_of_binary_values_matches_the_binomial_distribution():
    interval = bootstrap_interval(np.arange(100) < 70)
    assert interval == pytest.approx(binom.ppf([0.025, 0.975], 100, 0.7) / 100, abs=0.011)


def test_the_bootstrap_depends_on_its_seed_and_not_on_the_chunk_size(monkeypatch):
    values = np.arange(20) % 3
    once = bootstrap_interval(values, draws=100, seed=3)
    monkeypatch.setattr(tbe.evaluation.intervals, "MAX_DRAWN", 50)
    assert bootstrap_interval(values, draws=100, seed=3) == once
    assert bootstrap_interval(values, draws=100, seed=4) != once


def test_a_single_video_is_its_own_interval():
    assert bootstrap_interval(np.array([True])) == (1, 1)
    assert half_interval(np.array([3.0])) == deviation([3.0]) == 0


def test_half_an_interval_by_hand():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    spread = (((values - 4) ** 2).sum() / 3) ** 0.5
    assert half_interval(values) == pytest.approx(1.96 * spread / 2)


def test_the_interval_of_a_few_seeds_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [t_interval(rng.normal(5, 3, size=3)) for _ in range(4000)]
    covered = sum(low <= 5 <= high for low, high in intervals)
    assert 0.005 < binom.cdf(covered, 4000, 0.95) < 0.995


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="expected at least two values, got 1"):
        t_interval([1.0])


def test_the_crossed_bootstrap_of_one_row_is_the_bootstrap_of_its_columns():
    values = np.arange(60) % 3 / 2
    (drawn,) = crossed_bootstrap(values[None, None], np.ones((1, 1, 60)))
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx(bootstrap_interval(values), abs=0.01)


def test_the_crossed_bootstrap_covers_the_truth_over_rows_and_columns():
    rng = np.random.default_rng(0)
    covered = 0
    for repetition in range(100):
        values = rng.normal(size=(1, 20, 1)) + rng.normal(size=(1, 1, 30)) + rng.normal(size=(1, 20, 30))
        low, high = np.percentile(crossed_bootstrap(values, np.ones_like(values), 500, repetition), [2.5, 97.5])
        covered += low <= 0 <= high
    assert 88 <= covered <= 99


def test_measures_of_the_crossed_bootstrap_are_paired_and_cells_may_be_empty(monkeypatch):
    counts = np.stack([np.eye(4), np.eye(4), np.zeros((4, 4))])
    sums = counts * np.arange(4)
    one, same, nothing = crossed_bootstrap(sums, counts, draws=50, seed=2)
    assert np.array_equal(one, same, equal_nan=True)
    assert np.isfinite(one).any()
    assert np.isnan(nothing).all()
    monkeypatch.setattr(tbe.evaluation.intervals, "MAX_DRAWN", 12)
    assert np.nanmean(crossed_bootstrap(sums, counts, draws=2000)[0]) == pytest.approx(1.5, abs=0.1)
