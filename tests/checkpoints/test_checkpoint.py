import os
from functools import partial

import pytest
import torch

from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.atomic_io import AtomicCheckpoints
from tbe.checkpoints.checkpoint import load_exactly, load_module, read, read_any
from tbe.launch.eval_config import _completed
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


def test_a_resumed_run_continues_in_its_folder(tmp_path):
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


def written(folder, **config):
    """A checkpoint of ours with this in its config, and no weights."""
    carried = {"stage": "pretrain", "backbone": "b.", "config": {"run_name": "x", "backbone": TINY, **config}}
    content = {checkpoints.KEY: carried, "state_dict": {}, "epoch": 0, "global_step": 0}
    torch.save(content, folder / "written.ckpt")
    return folder / "written.ckpt"


def calling(target, *arguments, **named):
    return {"_target_": target, "_args_": list(arguments), **named}


@pytest.mark.parametrize("part", ["backbone", "data", "reader", "clip"])
@pytest.mark.parametrize(
    "build",
    [
        lambda harm: calling("os.system", harm),
        lambda harm: calling("subprocess.Popen", harm, shell=True),
        lambda harm: calling("torch.utils.collect_env.run", harm),
        lambda harm: calling("torch.hub.load", harm, "model"),
        lambda harm: calling("torch.os.system", harm),
        lambda harm: calling("torch.nn.modules.module.warnings.sys.modules.os.system", harm),
        lambda harm: calling("tbe.checkpoints.config_allowlist.os.system", harm),
        lambda harm: calling("tbe.checkpoints.config_allowlist.import_module", "os"),
        lambda harm: calling("tbe.config.instantiate", calling("os.system", harm)),
        lambda harm: calling("tbe.checkpoints.checkpoint.Path", harm),  # a class, but not one of ours
        lambda harm: calling(
            "tbe.evaluation.feature_cache.FeatureCache", harm, "0", {}
        ),  # one of ours, but no part of a checkpoint
        lambda harm: calling("torchvision.models.get_model", "r3d_18"),
        lambda harm: calling(["os.system"], harm),
        lambda harm: {**TINY, "widths": ({"inside": (calling("os.system", harm),)},)},
        lambda harm: {**TINY, "_args_": (calling("os.system", harm),), "_recursive_": False},
        lambda harm: {**TINY, "_partial_": calling("os.system", harm)},
    ],
)
def test_a_checkpoint_that_would_run_something_else_is_refused(tmp_path, part, build):
    file = written(tmp_path, **{part: build(f"touch {tmp_path}/harm")})
    with pytest.raises(ValueError, match=rf"\({part}\): expected a config with classes of tbe.*, got .*: not loaded"):
        read(file)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("${oc.env:HOME}", "interpolations"),
        ("${oc.create:{_target_: os.system}}", "interpolations"),
        ({"${oc.env:HOME}": 1}, "interpolations"),
        (torch.zeros(1), "plain types, got a Tensor"),
    ],
)
def test_a_checkpoint_with_interpolations_is_refused(tmp_path, value, complaint):
    with pytest.raises(ValueError, match=rf"\(data\): expected a config (without|of) {complaint}.*: not loaded"):
        read(written(tmp_path, data={"_target_": "tbe.data.sources.VideoLists", "splits": (value,)}))


def test_classes_of_a_trusted_package_are_built(tmp_path, monkeypatch):
    file = written(tmp_path, backbone={"_target_": "tests.methods.networks.Mean"})
    with pytest.raises(ValueError, match=r"got 'tests\..*Mean': not loaded.*set TBE_PACKAGES=<package>"):
        read(file)
    monkeypatch.setenv("TBE_PACKAGES", "others, tests")
    assert read(file).config["backbone"] == {"_target_": "tests.methods.networks.Mean"}


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a", "a"), ("a/b", "a/b"), ("../../a/../b", "a/b"), ("/a", "a"), ("//a", "a"), ("..", "unnamed"), (3, "3")],
)
def test_the_name_of_a_run_does_not_lead_out_of_the_folder_of_an_evaluation(tmp_path, name, folder):
    assert read(written(tmp_path, run_name=name)).name == folder


def test_a_checkpoint_does_not_allow_itself_to_read_outside_of_the_root(tmp_path):
    data = {"_target_": "tbe.data.sources.VideoLists", "root": "/data", "allow_outside_root": True}
    carried = read(written(tmp_path, data=data)).config["data"]
    assert carried == {**data, "allow_outside_root": False}
    assert _completed("data", {"allow_outside_root": True}, carried) == data  # on the command line a user does


@pytest.mark.parametrize("at", [0, 0.3, 0.999, "a changed byte"])
def test_a_corrupt_checkpoint_is_neither_evaluated_nor_initialized_from(tmp_path, at):
    file = written(tmp_path, unused="0" * 5000)
    AtomicCheckpoints().save_checkpoint(torch.load(file, weights_only=True), file)
    content = file.read_bytes()
    place = content.index(b"0" * 5000)
    spoilt = content[:place] + b"1" + content[place + 1 :] if isinstance(at, str) else content[: int(at * len(content))]
    file.write_bytes(spoilt)
    for reader in (read, read_any, partial(load_module, Mean())):
        with pytest.raises(ValueError, match=r"got a corrupt file\. The previous one is intact: use it.*\.previous"):
            reader(file)
    file.with_name("written.ckpt.previous").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"got a corrupt file\. There is no intact previous one: choose another"):
        read(file)


def test_a_checkpoint_alone_rebuilds_its_backbone(trained_once):
    checkpoint = read(trained_once / "checkpoints" / "last.ckpt")
    assert (checkpoint.stage, checkpoint.name, checkpoint.step) == ("pretrain", "demo", 4)
    backbone = checkpoint.backbone()
    saved = torch.load(checkpoint.path, weights_only=True)["state_dict"]
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, saved[f"method.encoder.backbone.{name}"])
    assert checkpoint.classifier() is None
