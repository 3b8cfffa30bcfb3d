"""A machine of an elastic run is killed and comes back, as `python -m benchmarks.faults.run elastic` measures it."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from benchmarks.faults import elastic, machines
from tests.fork_server import PIDS, Program
from tests.forked import free_port


@pytest.fixture
def agents_are_forked(monkeypatch, tmp_path):
    """Agents and the programs that they start are forked, so that these start at once."""
    workers = {}

    def fork(command, cwd, env, stdout, stderr, **others):
        folder = tmp_path / str(len(workers))
        folder.mkdir()
        agent = Program(command[1:], {**env, PIDS: str(folder)}, cwd, stdout=stdout, stderr=stderr)
        workers[agent.pid] = folder / "0"
        return agent

    def children(agent):
        return [int(workers[agent].read_text())]

    monkeypatch.setattr(elastic, "subprocess", SimpleNamespace(Popen=fork))
    monkeypatch.setattr(elastic, "machines", lambda: nullcontext(machines.Loopback()))
    for module in (elastic, machines):
        monkeypatch.setattr(module, "children", children)
    monkeypatch.setattr(elastic, "PORT", free_port())
    # Of torchrun, which is imported already, the level of the log is fixed: what our program says then.
    monkeypatch.setattr(elastic, "MET", ("Initializing distributed",))
    monkeypatch.setattr(elastic, "JOINED", ("stopping after this step",))
    monkeypatch.setattr(elastic, "PATIENCE", 300)


def test_a_run_whose_second_machine_is_killed_and_comes_back_goes_on_in_its_folder_with_as_many_videos_a_step(
    agents_are_forked, request
):
    if not request.config.getoption("--elastic"):
        pytest.skip("loses a machine, which takes a minute and more where others work: make test-elastic")
    row = elastic.lost_and_returned()
    assert "on 2 / 1 / 2 processes" in row.happened
    assert row.lost == "the steps since the last epoch"  # as many videos a step, in order, and noticed in time


@pytest.mark.parametrize(
    ("noticed", "said", "lost"), [(30, "after 42 s in all, within", "the steps"), (50, "62 s", "**")]
)
def test_a_loss_that_takes_longer_than_process_timeout_to_go_on_from_is_said_to(noticed, said, lost):
    states = [elastic.State(2, 4, 3), elastic.State(1, 8, 5), elastic.State(2, 4, 9)]
    taken = elastic.Phases(noticed, 4, 7, 1, 8), elastic.Phases(1, 3, 8, 1, 8)
    row = elastic.outcome("the network is cut", taken, states, [1, 2, 3])
    assert said in row.happened
    assert ("**not** within process_timeout=60" in row.happened) == (noticed == 50)
    assert row.lost.startswith(lost)
