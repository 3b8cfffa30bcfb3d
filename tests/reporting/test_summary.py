import io

import pytest
from rich.console import Console

from tbe.reporting import console, summary
from tbe.reporting.summary import sentences, small_tables

ROBUST = {
    "robustness/clean/linear_top1": 89.0,
    "robustness/clean/R@1": 80.0,
    "robustness/swap/linear_top1": 9.0,
    "robustness/foreground_removed/linear_top1": 88.6,
    "robustness/static/linear_top1": 40.0,
    "robustness/added_frame_0.1/linear_top1": 70.0,
    "robustness/background_drop": 90.0,
}


def test_each_task_has_a_table_of_measures_by_checkpoints_and_splits():
    columns = {
        "random": {"retrieval/R@1/iid": 20.0, "retrieval/R@1/swap": 5.0, "linear/top1/iid": 50.0},
        "demo": {"retrieval/R@1/iid": 30.0, "retrieval/R@1/swap": 4.0, "linear/top1/iid": 50.0},
    }
    retrieval, linear = small_tables(columns, ["iid", "swap"])
    assert retrieval.title == "retrieval"
    assert retrieval.columns == ["random · iid", "random · swap", "demo · iid", "demo · swap"]
    assert retrieval.rows == ["R@1"]
    assert retrieval.cells == [[20.0, 5.0, 30.0, 4.0]]
    assert retrieval.best == {(0, 2), (0, 1)}  # of each split, the better checkpoint
    assert linear.columns == ["random · iid", "demo · iid"]
    assert not linear.best  # they are equal


def test_perturbed_clips_show_one_measure_and_no_curve():
    (table,) = small_tables({"demo": ROBUST})
    assert table.title == "robustness: linear_top1 of perturbed clips"
    assert table.rows == ["clean", "swap", "foreground_removed", "static", "background_drop"]


def test_lower_is_better_for_some_metrics():
    rows = {"a": {"scenes/scene_R@1": 90.0, "knn/top1": 3.0}, "b": {"scenes/scene_R@1": 20.0, "knn/top1": 2.0}}
    scenes, knn = small_tables(rows)
    assert scenes.best == {(0, 1)}
    assert knn.best == {(0, 0)}
    (while_training,) = small_tables({"a": {"val/knn_scene_top1": 90.0}, "b": {"val/knn_scene_top1": 20.0}})
    assert while_training.best == {(0, 1)}


def test_no_score_without_motion_is_the_best():
    clips = ("clean", "swap", "static", "median", "foreground_removed", "shuffled", "reversed")
    for key in ("robustness/{}/R@1", "audit/{}_top1"):
        rows = {name: {key.format(clip): score for clip in clips} for name, score in (("a", 9.0), ("b", 5.0))}
        (table,) = small_tables(rows)
        assert [table.rows[row].removesuffix("_top1") for row, _ in sorted(table.best)] == ["clean", "swap"]


def test_settings_and_counts_are_no_scores():
    assert small_tables({"a": {"linear/strength": 0.1, "features/test_videos": 8, "tsne/videos": 8}}) == []


def test_findings_are_described_in_words():
    assert sentences({"demo": ROBUST}) == [
        "demo: linear top-1 falls from 89 to 9 on another video's background: the scene is read",
        "demo: linear top-1 stays at 89 without the actor: the background alone gives the answer",
        "demo: linear top-1 falls from 89 to 40 with one frame repeated: motion is used",
    ]
    both = {"linear/top1/iid": 60.0, "linear/top1/swap": 57.0}
    assert sentences({"inter": both}, ["iid", "swap"]) == [
        "inter: linear top-1 falls from 60 to 57 where the scene is another action's: the scene is hardly used"
    ]
    assert sentences({"nothing": {"linear/top1": 0.0, "robustness/clean/R@1": 0.0, "robustness/swap/R@1": 0.0}}) == []


def test_nothing_is_said_of_a_score_that_is_not_above_chance():
    assert sentences({"random": {**ROBUST, "robustness/background_drop": float("nan")}}) == []


def test_official_splits_are_compared_one_by_one_and_deviations_not_at_all():
    row = {"scenes/scene_R@1": 40.0, **ROBUST}
    alone = {"split 1": row, "split 2": {name: value + 1 for name, value in row.items()}, "deviation": row}
    assert all(not table.best for table in small_tables(alone))
    assert [said.partition(":")[0] for said in sentences(alone)] == ["split 1"] * 3 + ["split 2"] * 3
    beside = {f"{name}, {part}": row for name in "ab" for part in ("split 1", "mean", "deviation")}
    beside["b, mean"] = {"scenes/scene_R@1": 30.0}
    beside["b, deviation"] = {"scenes/scene_R@1": 1.0}
    (scenes,) = (table for table in small_tables(beside) if table.title == "scenes")
    assert scenes.best == {(0, list(beside).index("b, mean"))}


@pytest.mark.parametrize("width", [40, 80, 300])
def test_no_column_or_name_is_cut_at_any_width(monkeypatch, width):
    names = [f"a rather long name of checkpoint {number}" for number in range(4)]
    tables = small_tables({name: ROBUST for name in names})
    written = io.StringIO()
    monkeypatch.setattr(console, "WIDE", width)
    monkeypatch.setattr("rich.console.Console", lambda **kw: Console(file=written, **{"width": width, **kw}))
    console.print_tables(tables, "title", ["a note"])
    text = written.getvalue()
    assert "…" not in text
    assert width < 80 or all(name in text for name in [*names, *tables[0].rows])
    assert "- a note" in text


def test_numbers_that_are_none_are_left_out():
    assert console.format_number(None) == ""
    assert summary.small_tables({"a": {"protocol": {}}}) == []  # type: ignore[dict-item]
