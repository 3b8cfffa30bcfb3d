"""A machine of a run on two is lost and comes back: `python -m benchmarks.faults.elastic`.

Two torchrun agents with one process each (--nnodes=1:2), as root on Linux in two network namespaces, whose cable is cut
and plugged in again; otherwise on the loopback interface, where the second one is killed and started again. Measures
how long it takes until steps are saved again, and checks that each start goes on in the same folder with as many videos
in a step. Needs Linux.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from benchmarks.faults.report import Outcome
from benchmarks.faults.small_runs import LAST, ROOT, SIZE

LIMIT = 60  # seconds, process_timeout
SLACK = 10  # seconds by which a process may be late on a busy machine
NOTICED = ("did not answer within process_timeout", "connection to another process broke")
PATIENCE = 600
TOTAL = 8  # videos in a step
NAME, PORT = "elastic", 29417
RUN = [*SIZE, "trainer=ddp_cpu", "trainer.devices=1", "datamodule.num_workers=0", "logger=csv", "epochs=100000"]
RUN += [f"process_timeout={LIMIT}", f"batch_size={TOTAL // 2}", f"name={NAME}", "validate_every=100000"]


class Machines(ABC):
    """Two machines, of which the second one can be lost. addresses: of both; story: what happens to it."""

    addresses: tuple[str, str]
    story: str

    @abstractmethod
    def command(self, number: int) -> list[str]:
        """Returns what a command on one of the machines begins with."""

    @abstractmethod
    def environment(self, number: int) -> dict[str, str]:
        """Returns the variables that a process on one of the machines needs."""

    @abstractmethod
    def lose(self, agent: subprocess.Popen) -> None:
        """Loses the second machine, on which this agent runs."""

    @abstractmethod
    def bring_back(self) -> None:
        """Brings the second machine back."""


class Namespaces(Machines):
    """Network namespaces, connected by a cable: processes go on where it is cut, and hear nothing of each other."""

    addresses = ("10.77.0.1", "10.77.0.2")
    story = "the network of the second of two machines of an elastic run is cut, and comes back"

    def __init__(self) -> None:
        self.names = [f"tbe{os.getpid()}{letter}" for letter in "ab"]
        self.cable = [f"tbe{letter}{os.getpid() % 100_000}" for letter in "ab"]

    def make(self) -> None:
        one, other = self.names
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", self.cable[0], "netns", one, "type", "veth", "peer", "name", self.cable[1], "netns", other)
        for name, cable, address in zip(self.names, self.cable, self.addresses, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")

    def remove(self) -> None:
        for name in self.names:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def command(self, number: int) -> list[str]:
        return ["ip", "netns", "exec", self.names[number]]

    def environment(self, number: int) -> dict[str, str]:
        return {"GLOO_SOCKET_IFNAME": self.cable[number]}

    def lose(self, agent: subprocess.Popen) -> None:
        ip("-n", self.names[0], "link", "set", self.cable[0], "down")

    def bring_back(self) -> None:
        ip("-n", self.names[0], "link", "set", self.cable[0], "up")


class Loopback(Machines):
    """Groups of processes of this machine: the second one is killed as a whole, and its connections break at once."""

    addresses = ("127.0.0.1", "127.0.0.1")
    story = "the second of two machines of an elastic run is killed (SIGKILL), and comes back"

    def command(self, number: int) -> list[str]:
        return []

    def environment(self, number: int) -> dict[str, str]:
        return {"GLOO_SOCKET_IFNAME": "lo"}

    def lose(self, agent: subprocess.Popen) -> None:
        kill(agent)

    def bring_back(self) -> None:
        """Nothing to do: its agent is started again."""


class State(NamedTuple):
    """How far a run is: its processes, its videos a process and step, and the steps in its last checkpoint."""

    processes: int
    batch_size: int
    steps: int


def ip(*arguments: str) -> None:
    """Runs ip; raises CalledProcessError where it is refused."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def machines() -> Iterator[Machines]:
    """Yields namespaces where this process may make them, else the loopback interface."""
    namespaces = Namespaces()
    try:
        namespaces.make()
    except (OSError, subprocess.CalledProcessError):
        namespaces.remove()
        yield Loopback()
    else:
        try:
            yield namespaces
        finally:
            namespaces.remove()


def start(pair: Machines, number: int, folder: Path) -> subprocess.Popen:
    """Starts the agent of a machine, in a group of its own; what it says goes to <folder>/agent_<number>.log."""
    conf = f"is_host={number == 0},last_call_timeout=2,read_timeout={PATIENCE}"
    agent = ["-m", "torch.distributed.run", "--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=5", "--rdzv-id=run"]
    agent += [f"--rdzv-endpoint={pair.addresses[0]}:{PORT}", "--rdzv-backend=c10d", f"--rdzv-conf={conf}"]
    agent += [f"--local-addr={pair.addresses[number]}", "train.py", *RUN, f"runs={folder / 'runs'}"]
    variables = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1", "TBE_DATA": str(folder / "data")}
    with (folder / f"agent_{number}.log").open("a") as log:
        return subprocess.Popen(
            [*pair.command(number), sys.executable, *agent],
            cwd=ROOT,
            env={**os.environ, **variables, **pair.environment(number)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill(agent: subprocess.Popen) -> None:
    """Kills an agent and the processes that it started, which are in groups of their own."""
    started = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    children = [int(pid) for pid in started.read_text().split()] if started.exists() else []
    for pid in (agent.pid, *children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    agent.wait()


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


def wait(folder: Path, is_there: Callable[[State], bool]) -> tuple[float, State]:
    """Waits for a state, and returns the seconds that it took; raises TimeoutError after PATIENCE."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if is_there(state := state_of(folder)):
            return time.monotonic() - began, state
        time.sleep(0.2)
    logs = "\n".join(file.read_text()[-3000:] for file in sorted(folder.glob("agent_*.log")))
    raise TimeoutError(f"expected another state within {PATIENCE} s, got {state}\n{logs}")


def until_said(log: Path) -> float:
    """Waits until a process has said that it lost another one, and returns the seconds that it took."""
    began = time.monotonic()
    while not any(line in log.read_text() for line in NOTICED):
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"expected {NOTICED} within {PATIENCE} s, got none in {log}")
        time.sleep(0.2)
    return time.monotonic() - began


def saved_by(processes: int, folder: Path) -> tuple[float, State]:
    """Waits until so many processes have saved a step of theirs; returns the seconds that it took."""
    to_start, begun = wait(folder, lambda state: state.processes == processes)
    to_save, saved = wait(folder, lambda state: state.steps > begun.steps)
    return to_start + to_save, saved


def lost_and_returned() -> Outcome:
    """Loses the second of two machines of a run in training, and brings it back."""
    agents: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as name, machines() as pair:
        folder = Path(name)
        try:
            agents += [start(pair, number, folder) for number in range(2)]
            _, both = saved_by(2, folder)
            pair.lose(agents[1])
            noticed = until_said(folder / "agent_0.log")
            took, alone = saved_by(1, folder)
            pair.bring_back()
            if isinstance(pair, Loopback):
                agents[1] = start(pair, 1, folder)
            back, again = saved_by(2, folder)
        finally:
            for agent in agents:
                kill(agent)
        steps = [int(line.split(",")[1]) for line in next(folder.rglob("metrics.csv")).read_text().splitlines()[1:]]
    return outcome(pair.story, (noticed, took, back), (both, alone, again), steps)


def outcome(story: str, seconds: Sequence[float], states: Sequence[State], steps: list[int]) -> Outcome:
    """Returns the row of the table; steps: those in the run's metrics, from first to last."""
    sizes, (noticed, took, back) = [state.processes * state.batch_size for state in states], seconds
    happened = (
        f"the other one noticed after {noticed:.0f} s (process_timeout={LIMIT}) and saved steps again {took:.0f} s "
        f"later, by itself; both did {back:.0f} s after it came back. One folder, {' / '.join(map(str, sizes))} videos "
        "a step on 2 / 1 / 2 processes. Most of these seconds are torchrun's patience and the start of programs on a "
        "busy machine"
    )
    is_whole = sizes == [TOTAL] * len(states) and steps == sorted(steps)
    lost = "the steps since the last epoch" if noticed < LIMIT + SLACK else "**time**"
    return Outcome(story, 1, happened, lost if is_whole else "**the order of steps**")
