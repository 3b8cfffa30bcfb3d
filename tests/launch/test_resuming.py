"""What a run that goes on may be told otherwise than before."""

import copy
import re

import pytest
import torch
from torch.testing import assert_close

from tbe.checkpoints.checkpoint import Checkpoint
from tbe.config import plain
from tbe.errors import UserError
from tbe.launch.resuming import check_changes
from tests.conftest import composed


def resuming(*before, now=(), epoch=0, edit=lambda config: None):
    """What is said of a run that was told `before`, and is told `now` as well when it goes on."""
    carried = copy.deepcopy(plain(composed("train", *before, run_dir="/runs/a")))
    edit(carried)
    checkpoint = Checkpoint("/runs/a/checkpoints/last.ckpt", "pretrain", carried, epoch, step=3, weights={}, prefix="")
    config = plain(composed("train", *before, *now, run_dir="/runs/b"))
    return check_changes(config, checkpoint, list(now))


def test_a_run_that_is_told_the_same_has_nothing_to_say():
    assert resuming() == []
    assert resuming(edit=lambda config: config.update(variant="as earlier versions call it")) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (["epochs=20"], "epochs 12 -> 20"),
        (["optimizer.lr=0.5"], "optimizer.lr 0.001 -> 0.5"),
        (["scheduler=constant"], "scheduler._target_ tbe.training.optim.Cosine -> tbe.training.optim.Constant"),
        (["be=strong"], "be.ratio 0.3 -> 0.5"),
        (["contrastive.key_momentum=0.5"], "contrastive.key_momentum 0.99 -> 0.5"),
        (["method.momentum=0.5"], "method.momentum 0.99 -> 0.5"),
        (["precision=bf16-mixed"], "precision 32-true -> bf16-mixed"),
        (["datamodule.num_workers=3", "logger=csv"], "datamodule.num_workers null -> 3"),
        (["data.root=/moved"], "data.root"),
        (["batch_size=16", "trainer=ddp_cpu"], "batch_size 32 -> 16"),  # two processes: the same videos a step
    ],
)
def test_what_can_change_is_applied_and_named(now, said):
    (line,) = resuming(now=now)
    assert line.startswith("resume=/runs/a/checkpoints/last.ckpt: goes on with ")
    assert said in line
    assert line.count(said.partition(" ")[0].rpartition(".")[2] + " ") == 1  # not again where it is handed on


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (["seed=1"], "seed 0 -> 1"),
        (["batch_size=16"], "batch_size 32 -> 16"),
        (["trainer=ddp_cpu"], "trainer.devices 1 -> 2"),
        (["accumulate=2"], "accumulate 1 -> 2"),
        (["data.num_train=80"], "data.num_train 800 -> 80"),
        (["backbone.widths=[8,8,8,8]"], "backbone.widths [16, 32, 64, 128] -> [8, 8, 8, 8]"),
        (["backbone=c3d"], "backbone._target_ tbe.backbones.resnet3d.ResNet3D -> tbe.backbones.c3d.C3D"),
        (["method=byol"], "method._target_ tbe.methods.moco.MoCo -> tbe.methods.byol.BYOL"),
        (["contrastive.queue_size=128"], "contrastive.queue_size 256 -> 128"),
        (["loss=nce"], "loss._target_ tbe.methods.losses.InfoNCE -> tbe.methods.losses.NCE"),
        (["optimizer=sgd"], "optimizer._target_ torch.optim.AdamW -> torch.optim.SGD"),
    ],
)
def test_what_cannot_change_is_refused_in_one_line(now, said):
    with pytest.raises(UserError, match=rf"{re.escape(said)}.*can't change.*init_from=/runs/a") as error:
        resuming(now=now)
    assert "\n" not in str(error.value)


def test_layers_may_decay_otherwise_but_not_all_or_none_of_them():
    layers = ["optimizer=adamw_vit", "backbone=vit_micro", "optimizer.layer_decay=0.75"]
    (line,) = resuming(*layers, now=["optimizer.layer_decay=0.5"])
    assert "optimizer.layer_decay 0.75 -> 0.5" in line
    with pytest.raises(UserError, match=r"optimizer.layer_decay 0.75 -> 1: can't change"):
        resuming(*layers, now=["optimizer.layer_decay=1"])


def test_a_run_that_kept_an_average_does_not_go_on_from_it_without_a_word():
    with pytest.raises(UserError, match=r"callbacks.ema is left out: .* are the average.*init_from=/runs/a"):
        resuming("callbacks=[common,ema]", now=["callbacks=[common]"])
    with pytest.raises(UserError, match=r"callbacks.ema.decay 0.5 -> 0.9999: the command does not say it"):
        resuming("callbacks=[common,ema]", edit=lambda config: config["callbacks"]["ema"].update(decay=0.5))
    (line,) = resuming("callbacks=[common]", now=["callbacks=[common,ema]"])
    assert "callbacks.ema (not said) -> " in line


def test_all_that_differs_is_named_at_once():
    with pytest.raises(
        UserError, match=r"seed 0 -> 1: .*optimizer.lr 0.5 -> 0.001: .* add optimizer.lr=0.001\. epochs"
    ):
        resuming(now=["seed=1", "epochs=3"], epoch=6, edit=lambda config: config["optimizer"].update(lr=0.5))


def test_fewer_epochs_than_it_has_begun_are_refused():
    assert resuming(now=["epochs=7"], epoch=6) != []
    with pytest.raises(UserError, match="epochs=6: expected at least 7"):
        resuming(now=["epochs=6"], epoch=6)


def test_what_the_command_only_leaves_out_is_not_meant():
    with pytest.raises(UserError, match=r"be.ratio 0.7 -> 0.3: the command does not say it.* add be.ratio=0.3"):
        resuming(edit=lambda config: config["be"].update(ratio=0.7))


def test_a_checkpoint_of_another_version_goes_on_with_a_warning():
    def older(config):
        config["queue_size"] = config.pop("contrastive")["queue_size"]
        del config["datamodule"]["read_timeout"]

    (line,) = resuming(edit=older)
    assert "was written by another version" in line
    assert "queue_size" in line
    assert "read_timeout" not in line
    assert "could not be compared" in resuming(edit=dict.clear)[0]


def group(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]


def test_what_is_asked_of_the_optimizer_holds_and_a_refused_run_leaves_all_as_it_was(train):
    told = ["scheduler=constant", "trainer.limit_train_batches=1", "optimizer.lr=0.01", "logger=csv"]
    run = train(*told, "optimizer=sgd")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="seed 0 -> 1.*epochs=0: expected at least 1"):
        train(*told, "optimizer=sgd", "seed=1", "epochs=0", f"resume={run}")
    with pytest.raises(UserError, match="optimizer.nesterov|optimizer._target_"):
        train(*told, "optimizer=adamw", f"resume={run}")
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    asked = ["optimizer=sgd", "optimizer.lr=0.5", "optimizer.weight_decay=0.2", "optimizer.momentum=0.1", "epochs=2"]
    train(*told[:2], *told[3:], *asked, f"resume={run}")
    found = group(run)
    assert [found[name] for name in ("lr", "initial_lr", "weight_decay", "momentum")] == [0.5, 0.5, 0.2, 0.1]
    scheduled = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["lr_schedulers"][0]
    assert_close(scheduled["base_lrs"] + scheduled["_last_lr"], [0.5, 0.5])
