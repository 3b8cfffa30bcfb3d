"""Every choice of every config group is built; every experiment composes."""

import copy
import functools
import json
import re

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch import nn

from tbe.checkpoints import config_allowlist
from tbe.checkpoints.checkpoint import BUILT
from tbe.config import build, config_dir, plain
from tbe.errors import UserError
from tbe.train import build_module
from tests.conftest import ROOT, assert_in_effect, composed

CONFIGS = ROOT / "configs"
GROUPS = [
    "data",
    "reader",
    "augment",
    "mix",
    "backbone",
    "be",
    "loss",
    "consistency",
    "method",
    "optimizer",
    "scheduler",
    "clip",
]
CHOICES = {group: sorted(file.stem for file in (CONFIGS / group).glob("[!_]*.yaml")) for group in GROUPS}
# A leaf of each group in turn, so that those which are composed together follow each other.
ROUNDS = range(max(map(len, CHOICES.values())))
LEAVES = [(group, choices[turn]) for turn in ROUNDS for group, choices in CHOICES.items() if turn < len(choices)]
# Readers whose libraries or hardware are not everywhere, and what they say then.
NOT_EVERYWHERE = {
    "torchcodec": "expected torchcodec and the system's FFmpeg",
    "pynvvideocodec": "expected one of 0 GPUs|expected PyNvVideoCodec and NVIDIA's driver",
}


def test_configs_are_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert config_dir() == str(CONFIGS)


@functools.cache
def of_a_leaf_of_each_group(turn):
    added = {"mix": "+"}  # of no pretraining
    chosen = [f"{added.get(group, '')}{group}={choices[turn % len(choices)]}" for group, choices in CHOICES.items()]
    return plain(composed("train", "experiment=none", *chosen, run_dir="."))


@pytest.mark.parametrize(("group", "choice"), LEAVES, ids=lambda value: value)
def test_every_leaf_is_built(group, choice):
    config = copy.deepcopy(of_a_leaf_of_each_group(CHOICES[group].index(choice)))
    if group in BUILT:
        config_allowlist.validate_config(config[group], "a checkpoint")  # which may carry it
    if group == "clip":
        assert config["clip"]["num_frames"] > 0
        assert config["clip"]["short_side"] >= config["clip"]["size"]
        return
    try:
        with torch.device("meta" if group == "backbone" else "cpu"):  # networks without memory
            built = build(config[group])
    except InstantiationException as error:
        is_missing = isinstance(error.__cause__, UserError) and group == "reader"
        if not is_missing or not re.search(NOT_EVERYWHERE.get(choice, "$^"), str(error.__cause__)):
            raise  # something is wrong with the leaf itself
        pytest.skip(str(error))
    if group == "optimizer":
        assert isinstance(built([nn.Parameter(torch.zeros(1))]), torch.optim.Optimizer)
    elif group == "scheduler":
        assert 0 < built(0, 100, 10) <= 1
    else:
        assert type(built).__module__.startswith(("tbe.", "torch.nn"))


@pytest.mark.parametrize("variant", sorted(file.stem for file in (CONFIGS / "variant").glob("[!_]*.yaml")))
@pytest.mark.parametrize("experiment", ["proof", "kinetics_be"])
def test_every_variant_can_be_chosen_over_an_experiment(variant, experiment, tmp_path):
    overrides = [f"experiment={experiment}", f"variant={variant}", "backbone=tiny", "contrastive.queue_size=8"]
    config = composed("train", *overrides, run_dir=tmp_path)
    module = build_module(plain(config), num_classes=3)
    assert getattr(module, "method", module).backbone.num_features > 0
    assert_in_effect(CONFIGS / "variant" / f"{variant}.yaml", OmegaConf.to_container(config))


@pytest.mark.parametrize("experiment", ["proof", "kinetics_be"])
def test_the_recommended_variant_is_the_exchange_of_medians(experiment, tmp_path):
    recommended, medians = (
        composed("train", f"experiment={experiment}", f"variant={variant}", run_dir=tmp_path)
        for variant in ("recommended", "median_swap")
    )
    assert recommended == medians
    assert recommended.variant == "median_swap"


@pytest.mark.parametrize("host", sorted(file.stem for file in (CONFIGS / "host").glob("[!_]*.yaml")))
def test_every_host_can_be_chosen_over_the_comparison_with_another_network(host, tmp_path):
    config = composed("train", "experiment=proof", f"host={host}", "backbone=r2plus1d_small", run_dir=tmp_path)
    build_module(plain(config), num_classes=3)
    assert config.host == (None if host == "none" else host)
    assert_in_effect(CONFIGS / "host" / f"{host}.yaml", OmegaConf.to_container(config))


@pytest.mark.parametrize("trainer", sorted(file.stem for file in (CONFIGS / "trainer").glob("[!_]*.yaml")))
def test_every_trainer_composes(trainer, tmp_path):
    config = plain(composed("train", f"trainer={trainer}", run_dir=tmp_path))
    assert config["trainer"]["_target_"] == "pytorch_lightning.Trainer"
    if trainer in ("cpu", "debug", "default"):
        built = build(config["trainer"])(logger=False)
        limits = [getattr(built, f"limit_{kind}_batches") for kind in ("train", "val", "predict")]
        assert limits == ([2, 2, 2] if trainer == "debug" else [1.0, 1.0, 1.0])  # shares of all


def test_the_debug_trainer_makes_small_batches_of_any_recipe(tmp_path):
    for experiment in ("proof", "kinetics_be"):
        config = composed("train", f"experiment={experiment}", "trainer=debug", run_dir=tmp_path)
        assert_in_effect(CONFIGS / "trainer" / "debug.yaml", OmegaConf.to_container(config))
        assert (config.datamodule.batch_size, config.trainer.max_epochs, config.trainer.check_val_every_n_epoch) == (
            2,
            1,
            1,
        )


def test_the_rate_is_logged_and_the_bar_is_left_as_asked_for(tmp_path):
    asked = ["callbacks.learning_rate.logging_interval=epoch", "callbacks.progress.leave=true"]
    for overrides, interval, is_left in (([], "step", False), (asked, "epoch", True)):
        callbacks = plain(composed("train", *overrides, run_dir=tmp_path))["callbacks"]
        assert build(callbacks["learning_rate"]).logging_interval == interval
        assert build(callbacks["progress"])._leave is is_left


def test_several_machines_and_another_strategy_can_be_asked_for(tmp_path):
    config = composed("train", "trainer=ddp", "trainer.num_nodes=8", run_dir=tmp_path)
    assert config.trainer.num_nodes == 8
    assert config.trainer.strategy.broadcast_buffers is False
    config = composed("train", "trainer=ddp", "trainer.strategy=ddp_spawn", run_dir=tmp_path)
    assert config.trainer.strategy == "ddp_spawn"


@pytest.mark.parametrize(("epochs", "every"), [(12, 4), (2, 2), (1, 1), (0, 1)])
def test_a_run_shorter_than_the_time_between_validations_validates_once(epochs, every, tmp_path):
    config = composed("train", "experiment=demo", f"epochs={epochs}", run_dir=tmp_path)
    assert config.validate_every == 4
    assert config.trainer.check_val_every_n_epoch == every


@pytest.mark.parametrize("task", sorted(file.stem for file in (CONFIGS / "task").glob("[!_]*.yaml")))
def test_every_task_is_built(task, tmp_path):
    config = composed("eval", f"task={task}", run_dir=tmp_path)
    for node in (config.tasks or {}).values():
        assert callable(build(plain(node)).run)


@pytest.mark.parametrize("sweep", sorted(file.stem for file in (CONFIGS / "sweep").glob("[!_]*.yaml")))
def test_every_value_of_a_sweep_composes(sweep, tmp_path):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"sweep={sweep}"], return_hydra_config=True)
    swept = {name: config.hydra.sweeper.params[name] for name in config.hydra.sweeper.params or {}}
    assert swept or sweep == "none"
    same = [f"{name}={values}" for name, values in swept.items() if "," not in str(values) or str(values)[0] == "["]
    composed("train", *same, run_dir=tmp_path)
    for name, values in swept.items():
        if f"{name}={values}" in same:
            continue
        told = [[*same, f"{name}={value}"] for value in str(values).split(",")]
        settings = [plain(composed("train", *overrides, run_dir=tmp_path)) for overrides in told]
        assert len({json.dumps(config) for config in settings}) == len(settings) > 1


def test_a_method_brings_its_loss_unless_one_is_chosen(tmp_path):
    for method, loss in {"moco": "InfoNCE", "triplet": "TripletMargin", "byol": "CosineRegression"}.items():
        assert composed("train", f"method={method}", run_dir=tmp_path).loss._target_ == f"tbe.methods.losses.{loss}"
        assert (
            composed("train", f"method={method}", "loss=nce", run_dir=tmp_path).loss._target_
            == "tbe.methods.losses.NCE"
        )
    assert composed("train", "method=flip", run_dir=tmp_path).loss._target_ == "torch.nn.CrossEntropyLoss"


@pytest.mark.parametrize("policy", ["shuffle", "sync", "none"])
def test_the_policy_of_batch_norm_reaches_the_method_and_the_trainer(policy, tmp_path):
    config = plain(composed("train", f"batch_norm={policy}", run_dir=tmp_path))
    assert config["method"]["batch_norm"] == policy
    assert config["trainer"]["sync_batchnorm"] == (policy == "sync")


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "linear"])
@pytest.mark.parametrize("experiment", ["demo", "ucf101_be", "kinetics_be"])
def test_every_stage_can_be_chosen_over_an_experiment(stage, experiment, tmp_path):
    config = plain(
        composed("train", f"experiment={experiment}", f"stage={stage}", "contrastive.queue_size=8", run_dir=tmp_path)
    )
    module = build_module(config, num_classes=3)
    frozen = [not parameter.requires_grad for parameter in module.backbone.parameters()]
    assert all(frozen) if stage == "linear" else not any(frozen)


def test_the_command_line_wins_over_the_experiment_and_the_experiment_over_the_stage(tmp_path):
    config = composed("train", "experiment=weizmann_finetune", run_dir=tmp_path)
    assert (config.stage, config.epochs) == ("finetune", 60)
    assert config.optimizer._target_ == "torch.optim.AdamW"
    config = composed("train", "experiment=weizmann_finetune", "optimizer=sgd", "epochs=3", run_dir=tmp_path)
    assert (config.epochs, config.optimizer._target_) == (3, "torch.optim.SGD")


def test_the_baseline_of_be_is_the_same_class(tmp_path):
    ratios = {be: composed("train", f"be={be}", run_dir=tmp_path).be for be in ("none", "weak", "original", "strong")}
    assert len({config._target_ for config in ratios.values()}) == 1
    values = [config.ratio for config in ratios.values()]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[2] == 0.3
