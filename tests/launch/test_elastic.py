"""Starts of one run with other numbers of processes, as torchrun --nnodes=1:8 makes them."""

import sys

import pytest

from tbe.config import build, plain
from tbe.launch import cli, cluster_jobs, worker_processes
from tbe.launch.elastic import with_processes
from tbe.launch.stages import read_stage, write_stage
from tests.conftest import composed

ELASTIC = {"TORCHELASTIC_RUN_ID": "mine", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "MASTER_ADDR": "first"}


@pytest.fixture
def world(monkeypatch):
    """world(machines, devices, port=..., rank=...) is what torchrun tells a process."""

    def told(machines, devices, port=1, rank=0, restarts=0):
        variables = {"LOCAL_WORLD_SIZE": devices, "GROUP_WORLD_SIZE": machines, "WORLD_SIZE": machines * devices}
        variables |= {"MASTER_PORT": port, "RANK": rank, "TORCHELASTIC_RESTART_COUNT": restarts, **ELASTIC}
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return told


def stage(folder, *overrides):
    return write_stage(plain(composed("train", "trainer=ddp_cpu", "batch_size=4", *overrides, run_dir=folder)))


def sizes(config):
    data, trainer = config["datamodule"], config["trainer"]
    batches = [config["batch_size"], data["batch_size"], data["eval_batch_size"]]
    return [*batches, trainer["devices"], trainer["num_nodes"]]


def test_a_start_with_other_processes_takes_as_many_videos_a_step_and_says_so_to_all(tmp_path, world):
    world(machines=2, devices=2)
    before = stage(tmp_path)
    assert sizes(before.config) == [4, 4, 4, 2, 2]  # torchrun tells the number of machines
    world(machines=1, devices=2)
    alone = with_processes(before, before=4)
    assert sizes(alone.config) == [8, 8, 8, 2, 1]
    assert read_stage(tmp_path) == alone
    world(machines=4, devices=2)
    assert sizes(with_processes(alone, before=2).config) == [2, 2, 2, 2, 4]
    assert with_processes(before, before=8) is before
    assert with_processes(before, before=None) is before
    world(machines=3, devices=1)
    with pytest.raises(ValueError, match="batch_size=8 on 2 processes: expected .* divides the 16 videos .* got 3"):
        with_processes(alone, before=2)
    assert with_processes(alone._replace(done=True), before=2).done


def test_all_devices_of_a_machine_stay_all_and_other_batches_of_validation_stay(tmp_path, world):
    world(machines=1, devices=8)
    before = stage(tmp_path, "trainer.devices=-1", "datamodule.eval_batch_size=3")
    assert sizes(with_processes(before, before=16).config) == [8, 8, 3, -1, 1]


def test_starts_of_an_elastic_job_are_told_apart_by_the_address_of_the_first_process(tmp_path, world):
    arguments = [f"runs={tmp_path}"]
    world(machines=2, devices=1)
    job = cluster_jobs.current()
    assert job == ("torchrun_mine", "first:1", 0)
    assert cluster_jobs.stages_of_previous_start(job, arguments) == []
    written = [stage(tmp_path / "run")]
    cluster_jobs.publish_stages(job, written, arguments)
    assert cluster_jobs.stages_of_previous_start(job, arguments) == []
    world(machines=1, devices=1, port=2)  # joining and leaving is no failure: the count stays
    later = cluster_jobs.current()
    assert cluster_jobs.stages_of_previous_start(later, arguments) == written
    assert cluster_jobs.processes_of_previous_start(later, arguments) == 2
    with pytest.raises(ValueError, match="expected the first process to name its config"):
        cluster_jobs.wait_for_stages(later, arguments, patience=0.1)  # not that of the start before
    cluster_jobs.publish_stages(later, written, arguments)
    world(machines=1, devices=1, port=2, rank=1, restarts=3)  # of a machine that counted otherwise
    assert cluster_jobs.wait_for_stages(cluster_jobs.current(), arguments) == written


def test_a_process_that_waits_for_the_first_one_imports_meanwhile_what_both_need(world, monkeypatch):
    world(machines=2, devices=1, rank=1)
    imported = []
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(cli, "import_module", imported.append)
    monkeypatch.setattr(cluster_jobs, "wait_for_stages", lambda job, arguments: list(imported))
    assert cli.train._stages_of_job() == ["tbe.train"]


@pytest.mark.parametrize(
    ("restarts", "process_timeout", "waited"),
    [(None, 60, 60), ("0", 60, 60), ("5", 60, 30), ("5", 1800, 1770), ("5", 10, 5)],
)
def test_collectives_leave_time_to_start_again_where_torchrun_does(
    tmp_path, monkeypatch, restarts, process_timeout, waited
):
    if restarts is not None:
        monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", restarts)
    config = composed("train", "trainer=ddp_cpu", f"process_timeout={process_timeout}", run_dir=tmp_path)
    timeout = build(config.trainer.strategy)._timeout
    assert timeout.total_seconds() == waited
    said = worker_processes._unknown(is_late=True)
    assert ("less the last 30 s" in said) == (waited < process_timeout)
