"""What was written before the packages moved still loads, resumes and is shown."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_class

import tbe.train
from tbe.checkpoints import checkpoint as checkpoints
from tbe.checkpoints.moved_names import MOVED, PLACES, with_present_names
from tbe.config import build
from tbe.launch.stages import read_stage
from tbe.launch.train_config import continued
from tbe.reporting.html.folders import find_runs
from tbe.train import ACCELERATIONS

# Written by the version before the move, by: python train.py experiment=demo data.num_train=16 data.num_val=8
# data.num_test=8 data.num_actions=2 data.num_scenes=2 data.size=32 data.num_frames=16 batch_size=8 num_workers=0
# "backbone.widths=[4]" "backbone.layers=[1]" "backbone.temporal_strides=[2]" "backbone.spatial_strides=[2]"
# queue_size=8 val_limit=4 epochs=1 trainer=cpu method.encoder.dim=4 optimizer=sgd
BEFORE = Path(__file__).with_name("before_the_move.ckpt")


@pytest.fixture
def config():
    """The config that the run of before wrote into its folder, and into its checkpoint."""
    return torch.load(BEFORE, weights_only=True)["tbe"]["config"]


@pytest.fixture
def run(config, tmp_path):
    """The folder of the run of before, stopped after its last checkpoint."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(BEFORE.read_bytes())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "run_dir": str(folder)}))
    return folder


def targets(config):
    if isinstance(config, dict) and "_target_" in config:
        yield config["_target_"]
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from targets(value)


def test_an_old_checkpoint_is_read_and_its_parts_are_built():
    found = checkpoints.read(BEFORE)
    assert found.backbone()(torch.rand(1, 3, 8, 32, 32)).shape[1] == 4
    for part in ("data", "reader"):
        assert build(found.config[part])


def test_all_targets_of_an_old_config_exist_at_their_new_place(config):
    before, now = set(targets(config)), set(targets(with_present_names(config)))
    assert {target.rpartition(".")[0] for target in before} & MOVED.keys()
    assert not {target.rpartition(".")[0] for target in now} & MOVED.keys()
    assert all(map(get_class, now))


def test_renamed_keys_of_old_configs_have_their_new_name(config):
    before, now = config, with_present_names(config)
    augment = now["datamodule"]["train_views"]["augment"]
    assert augment["gray"] == before["datamodule"]["train_views"]["augment"]["grey"]
    assert augment["color"]["_target_"] == "tbe.augment.ColorJitter"
    assert build(augment).gray == augment["gray"]
    erase = dict(before["module"]["erase"])
    assert now["module"]["distractor"] == {"min_ratio": erase.pop("least"), **erase}
    assert now["min_matched"] == before["least_matched"]


def test_single_keys_of_old_configs_are_in_their_groups(config):
    now = with_present_names(config)
    assert not PLACES.keys() & now.keys()
    assert now["performance"] == {name: config[name] for name in ACCELERATIONS} | {"cudnn_benchmark": True}
    assert now["evaluation"] == {"clips": 10, "splits": ["test"], "max_clips_per_forward": None}
    assert now["tasks"] == config["evaluate"]
    for part in ("datamodule", "method", "loss"):  # had the values of their keys already
        assert now[part].keys() == with_present_names({part: config[part]})[part].keys()
    assert with_present_names(now) == now


def test_a_measurement_of_before_keeps_its_keys():
    evaluation = {"checkpoint": ["last.ckpt"], "channels_last": True}
    assert with_present_names(evaluation) == evaluation


def test_keys_of_other_packages_are_unchanged():
    theirs = {"_target_": "mine.Data", "grey": 1, "position": "centre"}
    assert with_present_names({"data": theirs}) == {"data": theirs}


@pytest.mark.parametrize("module", MOVED.values())
def test_every_new_module_of_the_table_exists(module):
    assert __import__(module, fromlist=["_"])


def test_an_old_run_is_resumed_at_its_step(run):
    config = continued(read_stage(run)).config
    assert config["resume"] == str(run / "checkpoints" / "last.ckpt")
    assert config["module"]["_target_"] == "tbe.training.pretrain_module.PretrainModule"


def test_a_job_of_before_goes_on_from_its_config(run):
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text().replace("/tmp/before/run", str(run)).replace("/tmp/before", str(run)))
    config |= {"epochs": 2, "trainer": config["trainer"] | {"max_epochs": 2}}
    file.write_text(yaml.safe_dump(config))
    tbe.train.run([continued(read_stage(run))])
    assert json.loads((run / "metrics.json").read_text())["protocol"]["steps"] == 4  # of which it had done two


def test_a_report_compares_old_and_new_runs_by_present_names(run):
    (found,) = find_runs([run])
    assert found.config["loss"]["_target_"] == "tbe.methods.losses.InfoNCE"
