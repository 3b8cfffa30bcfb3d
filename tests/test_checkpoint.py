import os

import pytest
import torch

from tbe import checkpoint as checkpoints
from tbe.checkpoint import load_exactly, read
from tbe.runs import find, run_folder
from tests.methods.networks import Mean

TINY = {"_target_": "tbe.backbones.resnet3d.ResNet3D", "block": "basic", "layers": [1, 1], "widths": [4, 8]}


def run_of(runs, name, age=0):
    file = runs / name / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    os.utime(file, (1e9 - age, 1e9 - age))
    return file


def test_latest_is_the_newest_last_checkpoint(tmp_path):
    run_of(tmp_path, "a/1", age=5)
    newest = run_of(tmp_path, "b/2", age=1)
    run_of(tmp_path, "a/3", age=9)
    assert find("latest", tmp_path) == newest


def test_a_run_stands_for_its_last_checkpoint(tmp_path):
    file = run_of(tmp_path, "a")
    assert find(str(tmp_path / "a"), tmp_path) == find(str(file), tmp_path) == file


def test_the_folder_of_a_name_stands_for_its_newest_run(tmp_path):
    run_of(tmp_path, "a/1", age=5)
    newest = run_of(tmp_path, "a/2", age=1)
    assert find(str(tmp_path / "a"), tmp_path) == newest
    itself = run_of(tmp_path, "a", age=9)  # with a run of its own, that is meant and not those that followed it
    assert find(str(tmp_path / "a"), tmp_path) == itself


@pytest.mark.parametrize("name", ["latest", "gone.ckpt"])
def test_a_checkpoint_that_is_not_there_is_refused(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="checkpoint.*expected"):
        find(name, tmp_path)


def test_a_resumed_run_goes_on_in_its_folder(tmp_path):
    file = run_of(tmp_path, "demo/then")
    assert run_folder(str(tmp_path), "demo", "latest") == str(file.parent.parent)
    assert run_folder(str(tmp_path), "demo", str(file)) == str(file.parent.parent)
    fresh = run_folder(str(tmp_path), "demo", None)
    assert os.path.dirname(fresh) == str(tmp_path / "demo")
    assert fresh != str(file.parent.parent)


def test_weights_of_another_architecture_are_refused_and_counted():
    weights = {**Mean(batch_norm=True).state_dict(), "layer.weight": torch.zeros(9, 3)}
    with pytest.raises(
        ValueError,
        match=r"here: expected the weights of Mean \(2 tensors\).*0 missing, 5 unexpected, 1 of another shape",
    ):
        load_exactly(Mean(), weights, "here")


def test_a_foreign_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match="a checkpoint written by train.py"):
        read(tmp_path / "foreign.ckpt")


@pytest.mark.parametrize("part", ["backbone", "data", "reader"])
def test_a_checkpoint_that_would_run_something_else_is_refused(tmp_path, part):
    config = {"run_name": "x", "backbone": TINY, part: {"_target_": "os.system", "command": f"touch {tmp_path}/harm"}}
    carried = {"stage": "pretrain", "backbone": "b.", "config": config}
    torch.save({checkpoints.KEY: carried, "state_dict": {}, "epoch": 0, "global_step": 0}, tmp_path / "bad.ckpt")
    with pytest.raises(ValueError, match=r"expected a config with classes of tbe.*got 'os.system': not loaded"):
        read(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_alone_rebuilds_its_backbone(train):
    run = train("be=original")
    checkpoint = read(run / "checkpoints" / "last.ckpt")
    assert (checkpoint.stage, checkpoint.name, checkpoint.step) == ("pretrain", "demo", 4)
    backbone = checkpoint.backbone()
    saved = torch.load(checkpoint.path, weights_only=True)["state_dict"]
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, saved[f"method.encoder.backbone.{name}"])
    assert checkpoint.classifier() is None
