import json
import os
import signal
import sys
import time

import pytest
import torch

from tbe import runs
from tbe.launch import cli, cluster_jobs
from tbe.launch.stages import write_stage
from tests.conftest import NARROW, SMALL, command_line, started
from tests.forked import Forked

TORCHRUN = {"TORCHELASTIC_RUN_ID": "mine", "TORCHELASTIC_RESTART_COUNT": "2", "RANK": "3", "WORLD_SIZE": "4"}
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "pretrain", "SLURM_PROCID": "1"}
TINY = [*SMALL, *NARROW, "trainer=cpu"]


def scontrol(file, told, state="RUNNING"):
    """Writes a program that says that a job is in this state, and notes what else it is told."""
    show = f'if [ "$1" = show ]; then echo "JobId=$3 JobState={state} Reason=None"; else echo "$@" >> {told}; fi'
    file.write_text(f"#!/bin/sh\n{show}\n")
    file.chmod(0o755)


@pytest.fixture
def environment(monkeypatch):
    """environment(NAME=value, ...) is all that this process knows of a scheduler."""
    for name in (*TORCHRUN, *SLURM, "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def among(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return among


def test_a_process_that_a_user_started_has_no_job(environment):
    assert cluster_jobs.current() is None
    environment(**{**SLURM, "SLURM_JOB_NAME": "bash"})
    assert cluster_jobs.current() is None


def test_a_job_has_a_name_a_start_and_a_rank(environment):
    environment(**TORCHRUN)
    assert cluster_jobs.current() == ("torchrun_mine", 2, 3)


def test_a_job_of_slurm_has_steps(environment):
    environment(**SLURM)
    assert cluster_jobs.current() == ("slurm_7_batch", 0, 1)
    environment(SLURM_STEP_ID="0", SLURM_RESTART_COUNT="1")
    assert cluster_jobs.current() == ("slurm_7_0", 1, 1)


def test_torchrun_without_a_name_is_known_by_its_process_on_one_machine_alone(environment):
    environment(**{**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"})
    assert str(os.getppid()) in cluster_jobs.current().name
    assert cluster_jobs.current() == cluster_jobs.current()
    environment(GROUP_WORLD_SIZE="2")
    with pytest.raises(ValueError, match="expected --rdzv-id=<a name of this run>, got none"):
        cluster_jobs.current()


def test_what_the_first_process_tells_the_others_of_its_start_hear(tmp_path, monkeypatch):
    arguments = ["experiment=demo", f"runs={tmp_path}"]
    stages = [write_stage({"run_dir": str(folder)}) for folder in (tmp_path / "a", tmp_path / "a" / "finetune")]
    stages[0] = stages[0]._replace(done=True)
    assert cluster_jobs.stages_of_previous_start(cluster_jobs.Job("job", 0, 0), arguments) == []
    cluster_jobs.publish_stages(cluster_jobs.Job("job", 0, 0), stages, arguments)
    assert cluster_jobs.wait_for_stages(cluster_jobs.Job("job", 0, 1), arguments) == stages
    assert cluster_jobs.stages_of_previous_start(cluster_jobs.Job("job", 0, 0), arguments) == []
    assert cluster_jobs.stages_of_previous_start(cluster_jobs.Job("job", 1, 0), arguments) == stages
    with pytest.raises(
        ValueError, match=r"process 1 of job: expected the first process to name its config in .*job_\w+\.json"
    ):
        cluster_jobs.wait_for_stages(cluster_jobs.Job("job", 1, 1), arguments, patience=0.2)
    with pytest.raises(ValueError, match="process 1 of other"):
        cluster_jobs.wait_for_stages(cluster_jobs.Job("other", 0, 1), arguments, patience=0.2)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "seed=2"])  # another command of the same job
    assert cluster_jobs.stages_of_previous_start(cluster_jobs.Job("job", 1, 0), arguments) == []


def test_a_sweep_wants_one_process(environment, monkeypatch):
    environment(**TORCHRUN)
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=1,2"])
    with pytest.raises(SystemExit, match="^error: expected one process for -m, got several of torchrun_mine$"):
        cli.train()


@pytest.mark.slow
def test_processes_of_torchrun_share_a_folder(tmp_path):
    folders = tmp_path / "runs"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    options = [*TINY, "trainer=ddp_cpu", "batch_size=4", "epochs=1", "name=both", f"runs={folders}"]
    done = command_line(*launcher, "train.py", *options)
    assert done.returncode == 0, done.stderr
    (folder,) = (folders / "both").iterdir()
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 4  # of 8 videos
    assert json.loads((folder / "metrics.json").read_text())["protocol"]["steps"] == 4


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_goes_on_in_its_folder_with_the_stage_that_it_was_in(tmp_path):
    """Preempted in the first of two stages, and again in the second."""
    scheduler, folders = tmp_path / "bin" / "scontrol", tmp_path / "runs" / "long"
    scheduler.parent.mkdir()
    scontrol(scheduler, tmp_path / "told")
    variables = {**SLURM, "SLURM_PROCID": "0", "PATH": f"{scheduler.parent}:{os.environ['PATH']}"}
    variables["TBE_RUNS"] = str(tmp_path / "runs")
    few = ["data.num_train=8", "data.num_val=4", "data.num_test=4", "batch_size=2", "epochs=12", "validate_every=12"]
    long = [*TINY, "backbone.widths=[4,8,8,8]", "logger=csv", *few]
    second = [option for option in long if not option.startswith(("clip", "backbone", "queue"))] + [
        "evaluation.clips=1"
    ]
    command = ["train.py", *long, "name=long", "then=biased_scenes_finetune", f"then_with={second}"]

    def preempted(file, **start):
        """Starts the job, and ends it when it has written this file; what it said."""
        process = started(*command, **variables, **start)
        began = time.monotonic()
        while not list(folders.glob(f"*/{file}")):
            assert time.monotonic() - began < 120
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "requeued: job 7" in out
        return out

    preempted("checkpoints/last.ckpt")
    (folder,) = folders.iterdir()
    assert 0 < step(folder) < 48
    preempted("finetune/checkpoints/last.ckpt", SLURM_RESTART_COUNT="1")
    assert (tmp_path / "told").read_text() == "requeue 7\n" * 2
    assert 0 < step(folder / "finetune") < 48
    first = {name: (folder / name).stat().st_mtime_ns for name in ("metrics.json", "metrics.csv", runs.LAST)}
    done = command_line(*command, **variables, SLURM_RESTART_COUNT="2")
    assert done.returncode == 0, done.stderr
    assert f"done before: {folder}/metrics.json" in done.stdout
    assert list(folders.iterdir()) == [folder]
    assert {name: (folder / name).stat().st_mtime_ns for name in first} == first
    for stage in (folder, folder / "finetune"):
        assert json.loads((stage / "metrics.json").read_text())["protocol"]["steps"] == 48
        lines = (stage / "metrics.csv").read_text().splitlines()[1:]
        steps = [int(line.split(",")[1]) for line in lines]
        assert steps == sorted(steps)


def step(folder):
    return torch.load(folder / runs.LAST, weights_only=True)["global_step"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    ("number", "variables", "status"),
    [
        (signal.SIGTERM, {"SLURM_PROCID": "0"}, 130),
        (signal.SIGUSR1, {"SLURM_PROCID": "0"}, 130),
        (signal.SIGTERM, {"SLURM_PROCID": "1"}, 130),  # the first process asks for all
        (signal.SIGTERM, {"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, 130),  # started by Lightning
        (signal.SIGTERM, {"SLURM_JOB_NAME": "bash"}, -signal.SIGTERM),
        (signal.SIGTERM, TORCHRUN, -signal.SIGTERM),
    ],
)
def test_a_job_that_is_preempted_before_it_trains_is_queued_again(environment, tmp_path, number, variables, status):
    scheduler = tmp_path / "scontrol"
    scontrol(scheduler, tmp_path / "told")
    environment(**SLURM | variables, PATH=f"{tmp_path}:{os.environ['PATH']}")
    sys.stdout.flush()

    def job():
        cluster_jobs.requeue_when_stopped()
        # A process of its own, as a loader's worker is, ends alone.
        assert Forked(lambda: os.kill(os.getpid(), number)).wait() == -number
        os.kill(os.getpid(), number)
        time.sleep(10)

    assert Forked(job).wait() == status
    assert (tmp_path / "told").exists() is (variables == {"SLURM_PROCID": "0"})


def test_a_scheduler_that_refuses_is_heard(environment, tmp_path, monkeypatch, caplog):
    scheduler = tmp_path / "scontrol"
    scheduler.write_text("#!/bin/sh\necho 'Job 7 is not yours' >&2\nexit 1\n")
    scheduler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    cluster_jobs.requeue()  # not one of SLURM's
    assert caplog.text == ""
    environment(**SLURM)
    cluster_jobs.requeue()
    assert "could not requeue job 7: Job 7 is not yours" in caplog.text


def test_a_job_that_its_user_canceled_is_not_queued_again(environment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    environment(**SLURM)
    scontrol(tmp_path / "scontrol", tmp_path / "told", state="CANCELLED")
    cluster_jobs.requeue()
    assert capsys.readouterr().out == "not requeued: job 7 was cancelled\n"
    assert not (tmp_path / "told").exists()
    scontrol(tmp_path / "scontrol", tmp_path / "told")
    cluster_jobs.requeue()
    assert (tmp_path / "told").read_text() == "requeue 7\n"
