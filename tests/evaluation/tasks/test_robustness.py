import csv
import json
import math

import pytest
import torch

from tbe.evaluation.tasks.cam.drawing import load
from tbe.evaluation.tasks.robustness.task import Robustness, _warn_of_motion, by_split, chance, markdown, summary


def test_the_drop_is_the_share_of_the_clean_score_that_is_lost():
    scores = {name: {"linear_top1": 80.0} for name in Robustness(None).probes()}
    scores["swap"] = {"linear_top1": 20.0}  # three quarters lost, of three probes
    scores["static"] = {"linear_top1": 100.0}  # a quarter gained, of five
    found = summary(scores, chance=10)
    assert found["robustness/background_drop"] == pytest.approx(25)
    assert found["robustness/motion_drop"] == pytest.approx(-5)
    parts = {name: found[f"robustness/background_drop_{name}"] for name in ("swap", "swap_class", "foreground_only")}
    assert parts == {"swap": 75, "swap_class": 0, "foreground_only": 0}
    assert found["robustness/motion_drop_static"] == -25


def test_the_head_is_what_counts_where_there_is_one():
    scores = {name: {"head_top1": 50.0, "linear_top1": 80.0} for name in Robustness(None).probes()}
    for name in ("swap", "swap_class", "foreground_only"):
        scores[name]["head_top1"] = 25.0
    assert summary(scores, chance=10)["robustness/background_drop"] == pytest.approx(50)


def test_chance_is_what_the_most_frequent_class_alone_gives():
    assert chance(torch.tensor([2, 0, 2, 2, 5])) == 60
    assert chance(torch.arange(8)) == 12.5


@pytest.mark.parametrize(("clean", "is_known"), [(0.0, False), (12.5, False), (13.0, True)])
def test_nothing_is_lost_of_what_chance_gives(clean, is_known):
    scores = {name: {"R@1": clean} for name in Robustness(None).probes()}
    assert all(math.isnan(drop) != is_known for drop in summary(scores, chance=12.5).values())


def test_the_table_shows_scores_and_gaps():
    rows = {
        "one": {"robustness/clean/R@1": 50.0, "robustness/swap/R@1": 20.0, "robustness/background_drop": 60.0},
        "two": {"robustness/clean/R@1": 40.0, "robustness/swap/R@1": 30.0, "linear/top1": 1.0},
    }
    table = markdown(rows).splitlines()
    assert table[2] == "| | one | two |"
    assert "| swap/R@1 | 20.0 (-30.0) | 30.0 (-10.0) |" in table
    assert "| background_drop | 60.0 |  |" in table
    assert not any("linear/top1" in line for line in table)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([100.0], "true masks (or boxes) in all videos."),
        ([0.0], "true masks (or boxes) in no video; elsewhere they are estimated"),
        ([25.0, 50.0], "true masks (or boxes) in 25 % and 50 % of the videos; elsewhere they are estimated"),
        ([], "true masks (or boxes) in an unknown share of the videos; elsewhere they are estimated"),
    ],
)
def test_the_caption_says_where_the_actors_come_from(shares, said):
    row = {f"robustness/true_masks/{number}": share for number, share in enumerate(shares)}
    assert said in markdown({"net": row}).splitlines()[0]


def test_most_of_the_picture_that_moves_without_a_mask_is_a_warning(caplog):
    _warn_of_motion(torch.tensor([[0.9, 1.0], [0.4, 0.0], [0.5, 0.0]]), "test")
    assert not caplog.records
    _warn_of_motion(torch.tensor([[0.9, 1.0], [0.6, 0.0], [0.5, 0.0]]), "test")
    assert "in 1 of the 3 videos of test most of the frame moves, and there is no mask" in caplog.text


def test_splits_are_told_apart():
    rows = {"one": {"robustness/swap/R@1/iid": 1.0, "robustness/swap/R@1/swap": 2.0, "robustness/scene_R@1/iid": 3.0}}
    assert by_split(rows) == {"_iid": {"one": {"swap/R@1": 1.0}}, "_swap": {"one": {"swap/R@1": 2.0}}}


def test_the_suite_measures_and_draws_several_checkpoints(trained, finetuned, evaluate):
    names = ["random", str(trained), str(finetuned)]
    run = evaluate(f"checkpoint=[{','.join(names)}]", "task=robustness", "query=[iid,swap]")
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics) == {"random init", "demo", "demo_finetune", "protocol"}
    for split in ("iid", "swap"):
        row = metrics["demo_finetune"]
        assert 0 <= row[f"robustness/swap/head_top1/{split}"] <= 100
        assert f"robustness/scene_linear_top1/{split}" in row
        assert f"robustness/background_drop/{split}" in row
        assert row[f"robustness/true_masks/{split}"] == 100
    for picture in ("probes_iid.png", "added_iid.png", "probes_swap.png", "table.md"):
        assert (run / "robustness" / picture).stat().st_size > 500
    rows = list(csv.DictReader((run / "robustness" / "demo_iid.csv").open()))
    assert [row["probe"] for row in rows][:4] == ["clean", "swap", "swap_class", "foreground_only"]
    assert rows[0]["R@1_gap"] == "0.00"


def test_a_head_of_other_classes_is_left_out(finetuned, evaluate, video_folder, caplog):
    data = ["data=ucf101", f"data.root={video_folder}", "data.num_classes=2", "data.val_share=0"]
    lists = ["data.splits.train=train.txt", "data.splits.test=test.txt", "tasks.cam.videos=1"]
    run = evaluate("task=[robustness,cam,confusion]", f"checkpoint={finetuned}", *data, *lists)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"robustness/clean/linear_top1", "cam/foreground_share/class"} <= metrics.keys()
    assert not any("head" in name for name in metrics)
    told = [record.getMessage() for record in caplog.records if "it is left out" in record.getMessage()]
    assert [text.split(":")[0] for text in told] == ["task=robustness", "task=confusion"]
    assert "confusion/top1" in metrics  # by nearest neighbors
    assert "the head of 'demo_finetune' knows 4 classes, data=ucf101 has 2" in told[0]
    (title,) = load(run / "cam" / "demo_finetune" / "test.npz").titles
    assert title.splitlines()[1].startswith("taken for: class ")  # whatever the data calls it


def test_a_probe_does_not_depend_on_the_batch(trained, evaluate):
    rows = []
    for size in (3, 8):
        folder = evaluate(
            f"checkpoint={trained}", "task=robustness", f"batch_size={size}", "cache=null", folder=f"by {size}"
        )
        rows.append(json.loads((folder / "metrics.json").read_text()))
    assert {name: rows[0][name] for name in rows[0] if name != "protocol"} == pytest.approx(
        {name: rows[1][name] for name in rows[1] if name != "protocol"}, nan_ok=True
    )
