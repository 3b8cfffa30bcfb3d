import pytest

from tbe.evaluation.official_splits import summarize


def test_intervals_of_one_split_are_not_averaged_into_one_of_the_mean():
    of_one = {
        "test/top1": 40.0,
        "test/top1_low": 30.0,
        "test/top1_high": 50.0,
        "few_shot/5-way_interval": 2.0,
        "semi/10%_top1_deviation": 3.0,
        "audit/background_reliance/test": 70.0,
        "audit/background_reliance_low/test": 60.0,
    }
    rows = {"split 1": of_one, "split 2": {metric: value + 10 for metric, value in of_one.items()}}
    found = summarize(rows)
    assert {name: found[name] for name in rows} == rows
    assert found["mean"] == {"test/top1": 45, "audit/background_reliance/test": 75}
    assert found["deviation"] == pytest.approx({"test/top1": 50**0.5, "audit/background_reliance/test": 50**0.5})
