"""A machine of a run on two is lost and comes back: `python -m benchmarks.faults.elastic`.

Two torchrun agents with one process each (--nnodes=1:2), as root on Linux in two network namespaces, whose cable is cut
and plugged in again; otherwise on the loopback interface, where the second one is killed and started again. Measures
how long it takes until steps are saved again, and what that time consists of, and checks that the loss takes no longer
than process_timeout, and that each start goes on in the same folder with as many videos in a step. Needs Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from benchmarks.faults.machines import Loopback, Machines, children, computed, kill, machines
from benchmarks.faults.report import Outcome
from benchmarks.faults.small_runs import LAST, ROOT, SIZE

LIMIT = 60  # seconds, process_timeout
NOTICED = ("did not answer within process_timeout", "connection to another process broke")
JOINED, MET = ("new nodes from group_rank",), ("Starting worker group",)  # what torchrun's agents say
PATIENCE = 600
TOTAL = 8  # videos in a step
NAME, PORT = "elastic", 29417
MEETING = f"last_call_timeout=2,read_timeout={PATIENCE}"  # --rdzv-conf
RUN = [*SIZE, "trainer=ddp_cpu", "trainer.devices=1", "datamodule.num_workers=0", "logger=csv", "epochs=100000"]
RUN += [f"process_timeout={LIMIT}", f"batch_size={TOTAL // 2}", f"name={NAME}", "validate_every=100000"]


class State(NamedTuple):
    """How far a run is: its processes, its videos a process and step, and the steps in its last checkpoint."""

    processes: int
    batch_size: int
    steps: int


class Phases(NamedTuple):
    """The seconds from one moment to the next, and the seconds of a core that the program took in the last two.

    noticed: until the other machine is known to be lost, or to be back; met: until the agents have agreed; begun: until
    the program knows what to run; saved: until its first steps are saved.
    """

    noticed: float
    met: float
    begun: float
    saved: float
    computed: float

    def in_all(self) -> float:
        """Returns the seconds until the run goes on."""
        return self.noticed + self.met + self.begun + self.saved

    def __str__(self) -> str:
        return (
            f"{self.met:.0f} s to end and to meet, {self.begun:.0f} s to start the program, {self.saved:.0f} s to the "
            f"first saved step; in the last two it computed for {self.computed:.0f} s"
        )


def start(pair: Machines, number: int, folder: Path) -> subprocess.Popen:
    """Starts the agent of a machine, in a group of its own; what it says goes to <folder>/agent_<number>.log."""
    conf = f"is_host={number == 0},{MEETING}"
    agent = ["-m", "torch.distributed.run", "--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=5", "--rdzv-id=run"]
    agent += [f"--rdzv-endpoint={pair.addresses[0]}:{PORT}", "--rdzv-backend=c10d", f"--rdzv-conf={conf}"]
    agent += [f"--local-addr={pair.addresses[number]}", "train.py", *RUN, f"runs={folder / 'runs'}"]
    variables = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1", "TBE_DATA": str(folder / "data")}
    variables |= {"LOGLEVEL": "INFO"}  # of torchrun, which then says when machines have met
    with (folder / f"agent_{number}.log").open("a") as log:
        return subprocess.Popen(
            [*pair.command(number), sys.executable, *agent],
            cwd=ROOT,
            env={**os.environ, **variables, **pair.environment(number)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def state_of(folder: Path) -> State:
    """Returns how far the run in a folder is, zeros before its first checkpoint; raises ValueError for two runs."""
    notes = list((folder / "runs" / ".jobs").glob("*.json"))
    found = list((folder / "runs" / NAME).glob("*/config.yaml"))
    if len(found) > 1:
        raise ValueError(f"expected one folder of the run, got {found}")
    if not found or not notes:
        return State(0, 0, 0)
    processes, last = json.loads(notes[0].read_text())["processes"], found[0].parent / LAST
    batch_size = yaml.safe_load(found[0].read_text())["batch_size"]
    return State(processes, batch_size, torch.load(last, weights_only=True)["global_step"] if last.exists() else 0)


def until(folder: Path, is_there: Callable[[], bool]) -> float:
    """Waits until something is so, and returns the seconds that it took; raises TimeoutError after PATIENCE."""
    began = time.monotonic()
    while not is_there():
        if time.monotonic() - began > PATIENCE:
            logs = "\n".join(file.read_text()[-3000:] for file in sorted(folder.glob("agent_*.log")))
            raise TimeoutError(f"expected another state within {PATIENCE} s, got {state_of(folder)}\n{logs}")
        time.sleep(0.2)
    return time.monotonic() - began


def saved_by(processes: int, folder: Path) -> tuple[float, float, State]:
    """Waits until so many processes have saved a step of theirs.

    Returns the seconds until they knew what to run, those from then on, and the state.
    """
    begun = until(folder, lambda: state_of(folder).processes == processes)
    before = state_of(folder).steps
    return begun, until(folder, lambda: state_of(folder).steps > before), state_of(folder)


def phases(said: Sequence[str], change: Callable[[], None], processes: int, folder: Path, agent: int) -> Phases:
    """Changes the number of machines; returns how long the first one takes to go on with so many processes.

    said: what it says, one of it, when it has noticed. agent: the number of the process of torchrun on it.
    """
    log = folder / "agent_0.log"

    def count(lines: Sequence[str]) -> int:
        text = log.read_text()
        return sum(map(text.count, lines))

    known, met = count(said), count(MET)
    change()
    to_notice = until(folder, lambda: count(said) > known)
    to_meet = until(folder, lambda: count(MET) > met)
    begun, saved, _ = saved_by(processes, folder)
    return Phases(to_notice, to_meet, begun, saved, sum(map(computed, children(agent))))


def lost_and_returned() -> Outcome:
    """Loses the second of two machines of a run in training, and brings it back."""
    agents: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as name, machines() as pair:
        folder = Path(name)

        def bring_back() -> None:
            pair.bring_back()
            if isinstance(pair, Loopback):
                agents[1] = start(pair, 1, folder)

        try:
            agents += [start(pair, number, folder) for number in range(2)]
            _, _, both = saved_by(2, folder)
            loss = phases(NOTICED, lambda: pair.lose(agents[1]), 1, folder, agents[0].pid)
            alone = state_of(folder)
            back = phases(JOINED, bring_back, 2, folder, agents[0].pid)
            again = state_of(folder)
        finally:
            for agent in agents:
                kill(agent)
        steps = [int(line.split(",")[1]) for line in next(folder.rglob("metrics.csv")).read_text().splitlines()[1:]]
    return outcome(pair.story, (loss, back), (both, alone, again), steps)


def outcome(story: str, taken: tuple[Phases, Phases], states: Sequence[State], steps: list[int]) -> Outcome:
    """Returns the row of the table; steps: those in the run's metrics, from first to last."""
    sizes, (loss, back) = [state.processes * state.batch_size for state in states], taken
    is_in_time = loss.in_all() <= LIMIT
    happened = (
        f"the other one noticed after {loss.noticed:.0f} s and went on by itself after {loss.in_all():.0f} s in all, "
        f"{'within' if is_in_time else '**not** within'} process_timeout={LIMIT}: {loss}. It "
        f"heard of the one that was back after {back.noticed:.0f} s, and both went on: {back}. One folder, "
        f"{' / '.join(map(str, sizes))} videos a step on 2 / 1 / 2 processes"
    )
    is_whole = len(set(sizes)) == 1 and steps == sorted(steps)
    lost = "the steps since the last epoch" if is_in_time else "**time**"
    return Outcome(story, 1, happened, lost if is_whole else "**the order of steps**")
