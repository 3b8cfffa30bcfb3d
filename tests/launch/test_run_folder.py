"""The folder of a command: a new one, or one that it goes on in."""

import os
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from tbe.checkpoints.checkpoint import KEY
from tbe.config import config_dir, register_resolvers
from tbe.launch import cli
from tbe.launch.hydra_callbacks import RunFolder
from tbe.runs import run_folder
from tests.conftest import composed

NAMED_BY_TIME = "${run_folder:${runs},${run_name},${resume}}"


@pytest.fixture
def one_second(monkeypatch):
    """All commands are started in the same second."""

    class Second:
        @classmethod
        def now(cls):
            return cls()

        def strftime(self, form):
            return "now"

    monkeypatch.setattr("tbe.runs.datetime", Second)


@pytest.fixture
def start(tmp_path):
    """start("run", "seed=1") is the folder of a run for which this one was chosen, None for none."""

    def on_run_start(chosen, *overrides, resumes=True):
        config = composed("train", *overrides, run_dir="???")
        folder = NAMED_BY_TIME if chosen is None else str(tmp_path / chosen)
        with open_dict(config):
            config.hydra = {"run": {"dir": folder}, "overrides": {"task": list(overrides)}}
        OmegaConf.set_readonly(config.hydra, True)
        register_resolvers(run_folder)
        RunFolder(resumes).on_run_start(config)
        assert os.path.isdir(config.hydra.run.dir)
        return config.hydra.run.dir

    return on_run_start


def checkpoint_in(folder, **config):
    file = folder / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    carried = {"stage": "pretrain", "backbone": "b.", "config": {"run_dir": str(folder), **config}}
    torch.save({KEY: carried, "state_dict": {}, "epoch": 0, "global_step": 1}, file)
    return file


@pytest.mark.usefixtures("one_second")
def test_commands_of_the_same_second_have_folders_of_their_own(start, tmp_path):
    own = tmp_path / "runs" / "demo"
    assert [start(None) for _ in range(3)] == [str(own / "now"), str(own / "now_1"), str(own / "now_2")]


@pytest.mark.usefixtures("one_second")
def test_a_sweep_has_a_folder_of_its_own_and_its_runs_lie_in_it_whatever_their_names(monkeypatch, tmp_path):
    folders, sweeps = [], tmp_path / "runs" / "demo_sweep"
    (sweeps / "now").mkdir(parents=True)
    monkeypatch.setattr("tbe.train.prepare", lambda config, overrides: [folders.append(config.run_dir)][:0])
    monkeypatch.setattr("tbe.train.run", lambda stages: None)
    quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "name=demo,other", *quiet])
    cli.train()
    assert folders == [str(sweeps / "now_1" / "0"), str(sweeps / "now_1" / "1")]
    assert (sweeps / "now_1" / "sweep.csv").exists()


@pytest.mark.parametrize("resumes", [True, False])
def test_a_folder_with_a_checkpoint_is_not_written_to(start, tmp_path, resumes):
    checkpoint_in(tmp_path / "run")
    with pytest.raises(SystemExit, match=r"^error: .*/run: expected a folder without checkpoints, got that of a run"):
        start("run", resumes=resumes)
    assert os.listdir(tmp_path / "run") == ["checkpoints"]


def test_a_folder_that_is_there_without_a_checkpoint_is_taken(start, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    assert start("run") == f"{tmp_path}/run"


def test_a_run_goes_on_in_its_folder_or_in_a_new_one_but_not_in_that_of_another(start, tmp_path):
    file = checkpoint_in(tmp_path / "run")
    assert start(None, f"resume={file}") == start("run", f"resume={file}") == f"{tmp_path}/run"
    assert start("new", f"resume={file}") == f"{tmp_path}/new"
    kept = (tmp_path / "kept.ckpt").resolve()
    kept.write_bytes(file.read_bytes())  # of the run itself
    assert start("run", f"resume={kept}") == f"{tmp_path}/run"
    checkpoint_in(tmp_path / "other")
    with pytest.raises(SystemExit, match="other: expected no checkpoints but those of the run that is resumed"):
        start("other", f"resume={file}")


def test_a_refused_resume_leaves_the_folder_as_it_was(start, tmp_path):
    file = checkpoint_in(tmp_path / "run", seed=3)
    with pytest.raises(SystemExit, match=r"^error: resume=.*seed 3 -> 1"):
        start(None, f"resume={file}", "seed=1")
    assert os.listdir(tmp_path / "run") == ["checkpoints"]


@pytest.mark.usefixtures("one_second")
def test_what_does_not_train_has_its_own_folder_whatever_it_resumes(tmp_path):
    checkpoint_in(tmp_path / "run")
    register_resolvers(run_folder)
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("preview", [f"resume={tmp_path}/run"], return_hydra_config=True)
    assert config.hydra.run.dir == str(tmp_path / "runs" / "preview" / "now")
    assert config.hydra.callbacks.folder.resumes is False
