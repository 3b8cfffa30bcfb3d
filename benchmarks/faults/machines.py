"""Two machines of a run, of which one can be lost: network namespaces with a cable, or groups of processes."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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


def children(process: int) -> list[int]:
    """Returns the processes that a process has started, none if it has ended."""
    started = Path(f"/proc/{process}/task/{process}/children")
    return [int(pid) for pid in started.read_text().split()] if started.exists() else []


def computed(process: int) -> float:
    """Returns the seconds of a core that a process, which is there, has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def kill(agent: subprocess.Popen) -> None:
    """Kills an agent and the processes that it started, which are in groups of their own."""
    for pid in (agent.pid, *children(agent.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    agent.wait()
