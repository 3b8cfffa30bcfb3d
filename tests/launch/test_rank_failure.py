"""One of several processes fails, is killed or hangs in the middle of training: the run ends, says so, leaves none."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tbe.config import build, plain
from tbe.launch import worker_processes
from tbe.launch.stages import write_stage
from tests.conftest import NARROW, SMALL, composed, started
from tests.fork_server import PIDS
from tests.forked import Forked, free_port

LIMIT = 2  # seconds, process_timeout of the runs here
OVERHEAD = 10  # seconds for all but waiting: gloo, teardown, a busy machine


class Line(pl.LightningModule):
    """One layer, which does to its process in batch 2 what is asked for."""

    def __init__(self, failing, how):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.failing, self.how = failing, how

    def training_step(self, batch, batch_idx):
        if batch_idx == 2 and self.global_rank == self.failing:
            if self.how == "raise":
                raise ValueError("a fault of its own")
            os.kill(os.getpid(), self.how)
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_stages_in_folders_of_any_name_are_handed_on(monkeypatch, tmp_path):
    folders = [tmp_path / "a:b" / "c;d", tmp_path / 'e"f' / "\u00e9 \\ g"]
    stages = [write_stage({"run_dir": str(folder), "seed": seed}) for seed, folder in enumerate(folders)]
    stages[0] = stages[0]._replace(done=True)
    with worker_processes.sharing_stages(stages):
        assert worker_processes.inherited_stages() == []  # a user started this one
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert worker_processes.inherited_stages() == stages


def run(trainer, failing, how, told):
    """What train.py does, as the first process of two; the other one is forked, not started by Lightning."""
    os.environ.update(TBE_STAGES="[]", WORLD_SIZE="2", NODE_RANK="0", MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = str(free_port())

    def fit(rank, started):
        os.environ["LOCAL_RANK"] = str(rank)
        worker_processes._parent = os.getppid() if rank else None
        trained = build(trainer)(logger=False, enable_checkpointing=False, enable_progress_bar=False)
        try:
            with worker_processes.abort_together(SimpleNamespace(procs=started)):
                trained.fit(Line(failing, how), DataLoader(torch.rand(8, 2)))
        except Exception as error:
            (told / f"{rank}.json").write_text(json.dumps([type(error).__name__, str(error)]))
            raise

    other = Forked(lambda: fit(1, []))
    (told / "pid").write_text(str(other.pid))
    fit(0, [other])


def ended(tmp_path, failing, how):
    """Runs two processes of which one fails; the status of the first, what both said, and the seconds it took."""
    config = composed("train", "trainer=ddp_cpu", f"process_timeout={LIMIT}", run_dir=tmp_path)
    trainer, began = plain(config.trainer), time.monotonic()
    first = Forked(lambda: run(trainer, failing, how, tmp_path))
    try:
        status = first.wait(60)
    finally:
        first.send_signal(signal.SIGKILL)
    said = {rank: json.loads(file.read_text()) for rank in (0, 1) if (file := tmp_path / f"{rank}.json").exists()}
    seconds = time.monotonic() - began
    assert gone(int((tmp_path / "pid").read_text()))
    return status, said, seconds


def gone(pid, seconds=5):
    """Whether a process has ended, soon; what is left of it until somebody asks for its status does not count."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX":
            return True
        time.sleep(0.05)
    return False


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc, and forks")


def test_a_process_that_is_killed_ends_the_run_at_once(tmp_path):
    status, said, seconds = ended(tmp_path, 1, signal.SIGKILL)
    assert status == 1
    assert said == {0: ["ProcessLost", "process 0: process 1 was ended by SIGKILL"]}
    assert seconds < OVERHEAD


def test_a_process_that_fails_ends_the_run_with_its_error_and_a_pointer_to_it(tmp_path):
    status, said, seconds = ended(tmp_path, 1, "raise")
    assert status == 1
    assert said[1] == ["ValueError", "a fault of its own"]
    assert said[0] == ["ProcessLost", "process 0: process 1 failed with status 1, its error is above"]
    assert seconds < OVERHEAD


def test_the_first_process_takes_the_others_along_and_keeps_its_own_error(tmp_path):
    status, said, seconds = ended(tmp_path, 0, "raise")
    assert status == 1
    assert said[0] == ["ValueError", "a fault of its own"]
    assert seconds < worker_processes.GRACE + OVERHEAD


def test_a_process_that_was_stopped_ends_the_run_after_the_limit_and_is_ended_itself(tmp_path):
    status, said, seconds = ended(tmp_path, 1, signal.SIGSTOP)
    assert status == 1
    name, message = said[0]
    assert name == "ProcessLost"
    assert message.startswith("process 0: another process did not answer within process_timeout")
    assert LIMIT < seconds < LIMIT + worker_processes.GRACE + OVERHEAD


def test_a_first_process_that_was_stopped_is_ended_by_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_processes, "PATIENCE", 1)
    status, said, seconds = ended(tmp_path, 0, signal.SIGSTOP)
    assert status == -signal.SIGKILL
    assert said[1][1].startswith("process 1: another process did not answer within process_timeout")
    assert LIMIT < seconds < LIMIT + 1 + OVERHEAD


def test_an_error_that_has_nothing_to_do_with_others_stays_what_it_is():
    with pytest.raises(RuntimeError, match="out of memory") as raised, worker_processes.abort_together(None):
        raise RuntimeError("CUDA out of memory")
    assert not isinstance(raised.value, worker_processes.ProcessLost)


@pytest.mark.slow
def test_train_py_ends_when_one_of_the_processes_that_it_started_is_killed(tmp_path):
    options = [*SMALL, "trainer=ddp_cpu", *NARROW, "batch_size=4"]
    command = ["train.py", *options, "epochs=1000", "validate_every=1000", "logger=csv", "process_timeout=500"]
    pids = tmp_path / "pids"
    pids.mkdir()
    first = started(*command, f"hydra.run.dir={tmp_path}/run", **{PIDS: str(pids)})
    began = time.monotonic()
    try:
        while not (tmp_path / "run/checkpoints/last.ckpt").exists():
            assert time.monotonic() - began < 200
            assert first.poll() is None
            time.sleep(0.05)
        other = int((pids / "1").read_text())
        assert other != first.pid
        os.kill(other, signal.SIGKILL)
        _, said = first.communicate(timeout=60)  # far below the limit
    finally:
        first.kill()
    assert first.returncode == 1
    assert said.strip().splitlines()[-1] == "error: process 0: process 1 was ended by SIGKILL"
    assert gone(other)


def test_a_process_whose_parent_is_gone_ends_though_nothing_else_tells_it(tmp_path):
    """As where NCCL waits: no connection breaks."""

    def wait_for_ever(parent):
        worker_processes._end_with(parent, patience=0.1)
        time.sleep(60)

    def start():
        parent = os.getpid()
        child = Forked(lambda: wait_for_ever(parent))
        (tmp_path / "pid").write_text(str(child.pid))
        time.sleep(1.5)  # longer than the child looks from time to time: it stays as long as this one does
        assert child.poll() is None

    assert Forked(start).wait() == 0
    assert gone(int((tmp_path / "pid").read_text()))
