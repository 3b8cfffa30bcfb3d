"""What a command says of a failure, and what it keeps: one line for a user, the traceback of everything else."""

import json
import pickle
import sys
from types import SimpleNamespace

import pytest
from hydra.errors import InstantiationException

from tbe.data.readers import DecodeError
from tbe.errors import MissingFile, UserError, ended_in_one_line
from tbe.launch.cli import Command
from tbe.launch.error_log import write_error
from tbe.launch.stages import Stage, to_plain, write_stage

QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none"]


def fail_with(error):
    raise error


def built_wrongly(cause):
    """What Hydra makes of an error of an object that it builds."""
    try:
        raise cause
    except Exception as error:
        raised = InstantiationException("Error in call to target 'f'")
        raised.__cause__ = error
        return raised


def fail_deep_inside():
    fail_with(ValueError("could not broadcast\n  by much"))


@pytest.fixture
def start(monkeypatch, tmp_path):
    """start(fail, *arguments) runs a command in this process, with a config of its own, whose story is fail()."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text("run_dir: ???\nseed: 0\n")
    monkeypatch.setattr("tbe.launch.cli.config_dir", lambda: str(tmp_path / "configs"))
    for name in ("RANK", "SLURM_PROCID", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)

    def run(fail, *arguments):
        stages = [Stage({}, tmp_path / "run")]
        story = SimpleNamespace(prepare=lambda config, overrides: stages, run=lambda stages: fail())
        monkeypatch.setitem(sys.modules, "a_story", story)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, *QUIET, f"hydra.run.dir={tmp_path}/run"])
        Command("train", "a_story", moved={})()

    return run


@pytest.mark.parametrize(
    "error",
    [
        UserError("ratio: expected 0 to 1, got 7"),
        MissingFile("ratio: expected 0 to 1, got 7"),
        DecodeError("ratio: expected 0 to 1, got 7"),
        built_wrongly(UserError("ratio: expected 0 to 1, got 7")),
        built_wrongly(built_wrongly(UserError("ratio: expected 0 to 1, got 7"))),
    ],
    ids=repr,
)
def test_an_error_that_the_user_can_fix_is_one_line(start, tmp_path, error):
    with pytest.raises(SystemExit) as ended:
        start(lambda: fail_with(error))
    assert str(ended.value) == "error: ratio: expected 0 to 1, got 7"
    assert not (tmp_path / "run" / "error.log").exists()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("could not broadcast\n  by much"), "ValueError: could not broadcast"),
        (RuntimeError("\n\nCUDA out of memory.\nTried"), "RuntimeError: CUDA out of memory."),
        (AssertionError(), "AssertionError"),
        (OSError(28, "No space left on device", "a"), "[Errno 28] No space left on device: 'a'"),
        (built_wrongly(TypeError("f() got an unexpected 'a'")), "TypeError: f() got an unexpected 'a'"),
    ],
    ids=repr,
)
def test_other_errors_keep_their_traceback_in_the_run_folder(start, tmp_path, error, line):
    for _ in range(2):  # the second time it is added
        with pytest.raises(SystemExit) as ended:
            start(lambda: fail_with(error))
        file = tmp_path / "run" / "error.log"
        assert str(ended.value) == f"error: {line} (its traceback: {file})"
    told = file.read_text()
    assert told.count(", torch ") == 2
    assert "in fail_with" in told
    assert str(error) in told
    assert told.startswith("# 20")


def test_the_log_goes_to_the_screen_if_it_cannot_be_written(start, tmp_path, capsys):
    (tmp_path / "run" / "error.log").mkdir(parents=True)
    with pytest.raises(SystemExit, match="^error: ValueError: could not broadcast$"):
        start(fail_deep_inside)
    assert "in fail_deep_inside" in capsys.readouterr().err


def test_the_whole_error_is_shown_on_the_screen_too_when_asked_for(start, tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="could not broadcast"):
        start(fail_deep_inside)
    assert "in fail_deep_inside" in (tmp_path / "run" / "error.log").read_text()


def test_each_failed_run_of_a_sweep_has_its_log_and_the_others_go_on(start, tmp_path):
    outcomes = iter([fail_deep_inside, lambda: fail_with(UserError("expected 1, got 2")), lambda: 1])
    start(
        lambda: next(outcomes)(),
        "-m",
        "seed=1,2,3",
        f"hydra.sweep.dir={tmp_path}",
        "hydra.sweep.subdir=${hydra.job.num}",
    )
    assert "ValueError: could not broadcast" in (tmp_path / "0" / "error.log").read_text()
    assert "UserError: expected 1, got 2" in (tmp_path / "1" / "error.log").read_text()
    assert not (tmp_path / "2" / "error.log").exists()


def test_a_process_beside_the_first_writes_a_log_of_its_own(monkeypatch, tmp_path):
    for name, value in {"RANK": "", "SLURM_PROCID": "3", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert write_error(tmp_path, ValueError("a")) == tmp_path / "error_rank3.log"


def test_a_process_that_is_given_its_config_logs_beside_it(start, monkeypatch, tmp_path):
    given = json.dumps(to_plain([write_stage({"run_dir": str(tmp_path / "given")})]))
    for name, value in {"LOCAL_RANK": "1", "TBE_STAGES": given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="its traceback: .*given/error_rank1.log"):
        start(fail_deep_inside)


def test_a_failure_before_there_is_a_folder_is_raised_as_it_is(start, monkeypatch, tmp_path):
    monkeypatch.setattr("tbe.launch.cluster_jobs.current", fail_deep_inside)
    with pytest.raises(ValueError, match="could not broadcast"):
        start(lambda: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [UserError("gone"), MissingFile("gone"), PermissionError("gone")], ids=repr)
def test_a_command_without_a_run_ends_in_one_line(error, monkeypatch):
    with pytest.raises(SystemExit, match="^error: gone$"), ended_in_one_line():
        raise error
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(type(error)), ended_in_one_line():
        raise error


def test_a_fault_of_a_command_without_a_run_keeps_its_traceback():
    with pytest.raises(ValueError, match="could not"), ended_in_one_line():
        fail_deep_inside()


def test_errors_cross_processes():
    for error in (UserError("a"), MissingFile("b"), DecodeError("c")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
