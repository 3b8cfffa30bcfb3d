import numpy as np
import pytest

from tbe.reporting.html.curves import MAX_POINTS, _thinned, _ticks, chart, read_lines
from tbe.reporting.html.folders import find_runs


def test_lines_are_by_step_without_what_is_no_number(runs):
    lines = read_lines(find_runs([runs]))
    assert {metric: [(line.name, line.points) for line in found] for metric, found in lines.items()} == {
        "train/loss": [("demo (one)", [(1, 2.5), (5, 1.5)]), ("demo (two)", [(1, 3.5), (7, 2.0)])],
        "lr": [("demo (two)", [(1, 0.1), (4, 0.05)])],
    }
    assert lines["lr"][0].color == lines["train/loss"][1].color != lines["train/loss"][0].color


def test_long_curves_keep_their_extremes_and_their_end():
    values = np.random.default_rng(0).normal(size=50_000).tolist()
    points = list(enumerate(values))
    kept = _thinned(points)
    assert len(kept) <= MAX_POINTS + 1
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert {min(values), max(values)} <= {value for _, value in kept}
    assert kept[-1] == points[-1]


@pytest.mark.parametrize(
    ("low", "high", "outward", "ticks"),
    [
        (0, 300, False, [0, 100, 200, 300]),
        (9, 299, False, [100, 200]),
        (0.03, 3.3, True, [0, 1, 2, 3, 4]),
        (-0.3, 0.3, True, [-0.4, -0.2, 0, 0.2, 0.4]),
        (5, 5, True, [5]),
    ],
)
def test_ticks_are_round(low, high, outward, ticks):
    assert _ticks(low, high, outward) == ticks


def test_a_chart_of_one_value_is_drawn(runs):
    (runs / "two" / "metrics.csv").write_text("epoch,step,val/top1\n0,5,50.0\n")
    lines = read_lines(find_runs([runs / "two"]))
    assert "NaN" not in chart("val/top1", lines["val/top1"])
