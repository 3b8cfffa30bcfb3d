"""Values that a config can't have: each is said in one line before anything is built."""

import pytest
import torch
from omegaconf import OmegaConf

from tbe.config import plain
from tbe.errors import UserError
from tbe.launch.settings import ABSENT, KINDS, _select, check_settings
from tbe.training.finetune_module import FinetuneModule
from tests.conftest import composed


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch_size=2.5", "batch_size: expected a whole number of at least 1, got 2.5"),
        ("batch_size=0", "batch_size: expected a whole number of at least 1, got 0"),
        ("batch_size=true", "batch_size: expected a whole number of at least 1, got True"),
        ("batch_size=null", "batch_size: expected a whole number of at least 1, got None"),
        ("epochs=1.5", "epochs: expected a whole number of at least 0, got 1.5"),
        ("epochs=abc", "epochs: expected a whole number of at least 0, got 'abc'"),
        ("be.ratio=abc", "be.ratio: expected a number from 0 to 1, got 'abc'"),
        ("be.prob=nan", "be.prob: expected a number from 0 to 1, got nan"),
        ("accumulate=0", "accumulate: expected a whole number of at least 1, got 0"),
        ("accumulate=1.5", "accumulate: expected a whole number of at least 1, got 1.5"),
        (
            "datamodule.val_limit=-5",
            "datamodule.val_limit: expected a whole number of at least 1, or null for all, got -5",
        ),
        ("loss.temperature=0", "loss.temperature: expected a number above 0, got 0"),
        ("optimizer.lr=-1", "optimizer.lr: expected a number of at least 0, got -1"),
        (
            "performance.channels_last=maybe",
            "performance.channels_last: expected true or false, or null for channels_last on GPUs, got 'maybe'",
        ),
        (
            "trainer.max_time=10",
            "trainer.max_time: expected '<days>:<hours>:<minutes>:<seconds>', such as 00:12:00:00, or null for no "
            "limit, got 10",
        ),
        (
            "trainer.limit_train_batches=-1",
            "trainer.limit_train_batches: expected a whole number of batches, or a share of them as 0.5, or null for "
            "all, got -1",
        ),
    ],
)
def test_a_value_of_another_kind_is_refused(override, message, train):
    key = override.partition("=")[0]
    with pytest.raises(UserError) as error:
        train(override)
    assert str(error.value) == f"{message}. Set {key}=<value>"


@pytest.mark.parametrize("command", ["train", "eval"])
def test_values_are_looked_at_in_every_command(command, train, evaluate):
    with pytest.raises(
        UserError, match="^datamodule.num_workers: expected a whole number of at least 0, or null for one a core"
    ):
        {"train": train, "eval": evaluate}[command](
            "datamodule.num_workers=-1", *(["checkpoint=random"] * (command == "eval"))
        )


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_time=00:12:00:00",
        "trainer.limit_val_batches=0.5",
        "callbacks.finite_loss.limit=inf",
        "datamodule.val_limit=null",
        "epochs=0",
    ],
)
def test_what_is_possible_is_taken(override, tmp_path):
    check_settings(composed("train", override, run_dir=tmp_path))


def test_each_kind_is_of_a_key_that_there_is(tmp_path):
    commands = [("train",), ("train", "be=merge", "optimizer=sgd"), ("eval",), ("preview",)]
    configs = [composed(*command, run_dir=tmp_path) for command in commands]
    assert [key for key in KINDS if all(_select(config, key) is ABSENT for config in configs)] == []


@pytest.mark.parametrize("trainer", ["gpu", "ddp"])
def test_a_gpu_that_is_not_there_is_said_with_what_to_choose(trainer, tmp_path, monkeypatch):
    config = composed("train", f"trainer={trainer}", run_dir=tmp_path)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"expected a GPU, got none .*trainer=cpu, trainer=default .*trainer=ddp_cpu"):
        check_settings(config)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_settings(config)


def test_a_reference_to_nothing_is_one_line():
    with pytest.raises(UserError, match=r"^Interpolation key 'nothing' not found \(config key be\.ratio\)$"):
        plain(OmegaConf.create({"be": {"ratio": "${nothing}"}}))
    with pytest.raises(UserError, match=r"^Missing mandatory value: root \(config key data\.root\)$"):
        plain(OmegaConf.create({"data": {"root": "???"}}))


def test_one_class_cannot_be_told_apart():
    with pytest.raises(UserError, match="finetuning: expected at least two classes, got 1"):
        FinetuneModule(None, 1, None, None, None)
