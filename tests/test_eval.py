"""Runs of eval.py's work in this process."""

import json

import numpy as np
import pytest
import yaml

from tests.conftest import SMALL


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_every_task_measures_a_pretrained_network(train, evaluate, capsys):
    train("be=original")
    run = evaluate("task=all", "checkpoint=latest")
    metrics = metrics_of(run)
    assert {"retrieval/R@1", "retrieval/R@50", "linear/top1", "linear/top5", "knn/top1"} <= metrics.keys()
    assert 0 <= metrics["retrieval/R@1"] <= metrics["retrieval/R@5"] <= 100
    protocol = metrics["protocol"]
    assert protocol["data"] == "biased_scenes"
    assert (protocol["gallery"], protocol["query"], protocol["clips"]) == ("train", ["test"], 2)
    features = np.load(run / "features" / "demo" / "test_features.npy")
    assert features.shape == (16, 128)
    assert np.load(run / "features" / "demo" / "test_labels.npy").shape == (16,)
    assert len((run / "features" / "demo" / "test_paths.txt").read_text().splitlines()) == 16
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"run: {run}"


def test_the_untrained_network_stands_beside_the_trained_one(train, evaluate):
    train()
    run = evaluate("task=[retrieval,knn]", "checkpoint=[random,latest]", "query=[iid,swap]")
    metrics = metrics_of(run)
    assert list(metrics) == ["random init", "demo", "protocol"]
    assert {"retrieval/R@1/iid", "retrieval/R@1/swap", "knn/top1/swap"} <= metrics["demo"].keys()
    assert metrics["random init"] != metrics["demo"]
    assert metrics["protocol"]["checkpoints"]["demo"]["step"] == 4


def test_two_runs_of_a_name_keep_their_own_columns(train, evaluate):
    first, second = train(folder="a"), train("seed=1", folder="b")
    metrics = metrics_of(evaluate("task=retrieval", f"checkpoint=[{first},{second}]"))
    assert list(metrics) == ["demo", "demo (b, last)", "protocol"]


def test_an_evaluation_repeats_to_the_last_digit(train, evaluate):
    train()
    first, second = (metrics_of(evaluate("task=all", folder=name)) for name in ("x", "y"))
    assert {**first, "protocol": 0} == {**second, "protocol": 0}


def test_random_alone_needs_its_parts_named(evaluate):
    with pytest.raises(ValueError, match="expected data=<choice> where no trained checkpoint says it"):
        evaluate("checkpoint=random")
    named = ["data=biased_scenes", "clip=8x2_32", "reader=decord", "backbone=tiny", *SMALL[:7]]
    assert 0 <= metrics_of(evaluate("checkpoint=random", *named))["retrieval/R@1"] <= 100


def test_single_keys_of_the_data_can_be_set_over_the_checkpoints(train, evaluate):
    train()
    run = evaluate("task=knn", "+data.label=scene")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["label"] == "scene"
    assert config["data"]["num_train"] == 32


def test_other_data_can_be_searched_with_the_same_network(train, evaluate, video_folder):
    train()
    data = ["data=ucf101", f"data.root={video_folder}", "data.num_classes=2"]
    lists = ["data.splits.train=train.txt", "data.splits.test=test.txt", "data.val_share=0"]
    run = evaluate("task=[retrieval,features]", *data, *lists)
    assert np.load(run / "features" / "demo" / "train_features.npy").shape == (8, 128)
    assert metrics_of(run)["protocol"]["data"] == "ucf101"


def test_a_network_without_a_head_is_not_tested(train, evaluate):
    train()
    with pytest.raises(ValueError, match=r"task=test: expected a checkpoint with a trained head.*got 'demo'"):
        evaluate("task=test")


def test_a_finetuned_network_is_tested_as_at_the_end_of_its_training(train, evaluate):
    finetuned = train("stage=finetune", "test_clips=2")
    metrics = metrics_of(evaluate("task=test", f"checkpoint={finetuned}/checkpoints/best.ckpt"))
    for name in ("test/top1", "test/clip_top1", "test/top5"):
        assert metrics[name] == metrics_of(finetuned)[name]


def test_latest_without_a_run_is_refused(evaluate):
    with pytest.raises(FileNotFoundError, match="checkpoint=latest: expected a run"):
        evaluate("task=retrieval")


def test_an_unknown_split_is_refused(train, evaluate):
    train()
    with pytest.raises(ValueError, match="'trial'"):
        evaluate("task=retrieval", "query=trial")
