"""The measures of answers equal what is counted by hand."""

import math

import numpy as np
import pytest

from tbe.auditing.answers import Answers, together
from tbe.auditing.clips import all_clips
from tbe.auditing.measures import bootstrap, differences, estimates, measured, ratios
from tbe.data.backgrounds import ROLES

LABELS = [0, 0, 1, 1, 2, 2]


def answers(valid=(1,) * 6, paths=None, **given):
    """Six videos; clips that are not named are answered right, backgrounds are of the next class."""
    labels = np.array(LABELS)
    facts = {"label": labels, "is_known": np.ones(6, int), "is_valid": np.array(valid), "area": np.full(6, 0.2)}
    facts |= {f"background_{role}": (labels + 1) % 3 for role in ROLES} | {"background_same_class": labels}
    columns = {f"linear:{clip}": np.array(given.get(clip, labels)) for clip in all_clips((0.5,))}
    return Answers(paths or [f"{number}.mp4" for number in range(6)], facts, columns)


def values(found):
    return {name: estimate.value for name, estimate in estimates(ratios(found, "linear"), 100, 0).items()}


def test_who_reads_the_background_alone_relies_on_it_wholly():
    of_background = [1, 1, 2, 2, 0, 0]
    found = values(answers(swap_class=of_background, swap_frozen=of_background, conflict=of_background))
    assert found["background_reliance"] == 100
    assert (found["sberr"], found["sberr_control"], found["conflict_error"]) == (100, 0, 100)
    assert (found["contrasted_top1"], found["swap_class_top1"], found["swap_class_beyond_cut"]) == (0, 0, 100)


def test_every_measure_is_what_is_counted_by_hand():
    found = values(
        answers(
            clean=[0, 0, 1, 1, 2, 0],  # five right
            own=[0, 0, 1, 1, 1, 0],  # four right; the two wrong are given 1 and 0, whose backgrounds are of class 0
            swap_class=[1, 0, 1, 0, 2, 0],  # three right; the background's class: 1 for the first, 0 for the last
            swap_frozen=[0, 0, 0, 0, 2, 1],  # of the three right ones, the third alone is answered otherwise
            static=[0, 1, 1, 2, 2, 1],  # three right
            conflict=[1, 1, 2, 1, 2, 2],  # the still frame's class three times
        )
    )
    assert found["clean_top1"] == pytest.approx(500 / 6)
    assert found["own_drop"] == pytest.approx(100 / 6)
    assert found["background_reliance"] == pytest.approx(25)  # 4 - 3 of 4
    assert found["motion_reliance"] == pytest.approx(40)  # 5 - 3 of 5
    assert found["swap_class_drop"] == pytest.approx(200 / 6)
    assert found["swap_class_beyond_cut"] == pytest.approx(100 / 6)
    assert found["sberr"] == pytest.approx(200 / 6)
    assert found["sberr_control"] == pytest.approx(100 / 6)
    assert found["contrasted_top1"] == pytest.approx(100 / 6)
    assert found["conflict_error"] == pytest.approx(300 / 6)


def test_a_swap_counts_where_there_was_a_background_of_another_class():
    found = answers(swap_class=[1, 1, 1, 1, 2, 2], swap_same=[0, 0, 1, 0, 0, 0])
    found.facts["background_other_class"] = np.array([1, -1, 1, 2, 0, 2])  # of videos 0, 3 and 4 another class's
    found.facts["background_same_class"] = np.array([0, 0, 1, -1, -1, -1])
    assert values(found)["sberr"] == pytest.approx(100 / 3)  # of these the first alone
    assert values(found)["swap_same_top1"] == 100  # of the first three


def test_only_videos_that_count_do():
    found = answers(valid=(1, 1, 1, 1, 0, 0), clean=[0, 0, 1, 1, 0, 0])
    assert measured(found, "linear", 100, 0)["clean_top1"].value == 100


def test_a_reliance_of_nothing_above_chance_is_not_measured():
    found = measured(answers(clean=[0] * 6, own=[0] * 6), "linear", 200, 0)
    assert math.isnan(found["background_reliance"].value)
    assert math.isnan(found["motion_reliance"].value)
    assert found["clean_top1"].value == pytest.approx(200 / 6)


def test_intervals_are_those_of_resampled_videos():
    rng = np.random.default_rng(1)
    right = (rng.random(200) < 0.3).astype(float)
    found = estimates({"top1": (right, np.ones(200))}, 4000, 0)["top1"]
    half = 196 * math.sqrt(right.mean() * (1 - right.mean()) / 200)
    assert found.value == pytest.approx(100 * right.mean())
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=1)


def test_draws_are_paired_and_repeat():
    ratio = ratios(answers(clean=[0, 1, 1, 0, 2, 0]), "linear")
    one, again, other = (bootstrap(ratio, 50, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], again[name], equal_nan=True) for name in one)
    assert not np.array_equal(one["clean_top1"], other["clean_top1"])
    by_hand = one["clean_top1"] - one["own_top1"]
    assert np.allclose(by_hand, one["own_drop"])  # the same videos in each draw


def test_two_models_are_compared_on_the_videos_that_count_for_both():
    shuffled = [f"{number}.mp4" for number in (5, 4, 3, 2, 1, 0)]
    one = answers(valid=(1, 1, 1, 1, 1, 0), clean=[0, 0, 1, 1, 0, 0])
    other = answers(valid=(1, 1, 1, 1, 1, 0), paths=shuffled)
    tables = together([one, other])
    assert [table.paths for table in tables] == [["1.mp4", "2.mp4", "3.mp4", "4.mp4"]] * 2
    pair = [ratios(table, "linear") for table in tables]
    assert differences(*pair, 200, 0)["clean_top1"].value == pytest.approx(-25)
    same = differences(pair[0], pair[0], 200, 0)
    assert all(tuple(found) == (0, 0, 0) for found in same.values() if not math.isnan(found.value))


def test_answers_are_read_as_they_were_written(tmp_path):
    found = answers(clean=[0, 1, 1, 2, 2, 0])
    found.write(tmp_path / "answers.csv")
    read = Answers.read(tmp_path / "answers.csv")
    assert read.paths == found.paths
    assert values(read) == pytest.approx(values(found), nan_ok=True)
    (tmp_path / "other.csv").write_text("path,label\na.mp4,0\n")
    with pytest.raises(ValueError, match="expected the columns of an audit's answers"):
        Answers.read(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="expected the answers of an audit, got no such file"):
        Answers.read(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="expected answers of one of linear, got 'head'"):
        read.of("head")
