import numpy as np
import pytest
from scipy.stats import binom

import tbe.evaluation.intervals
from tbe.evaluation.intervals import bootstrap_interval, deviation, half_interval, t_interval


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
