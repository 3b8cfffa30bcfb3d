"""Calls a function in processes that may hang or crash."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

PRELOADED = ["tbe.data.readers"]  # slow to import
START_TIMEOUT = 300.0  # seconds


class Outcome(NamedTuple):
    """The result of a call: a `value` if the status is ok, else a `reason`."""

    item: str
    status: str  # ok, failed (it raised), timeout, or crashed (its process ended)
    value: Any = None
    reason: str = ""


def call_in_processes(
    function: Callable[[str], Any], items: Iterable[str], num_workers: int, timeout: float
) -> Generator[Outcome, None, None]:
    """Yields the outcome of function(item) for each item, in the order in which they finish.

    A call that takes more than `timeout` seconds is killed with its process, which is replaced. Closing the iterator
    ends all processes. Raises RuntimeError if a process does not start.
    """
    waiting = deque(items)
    context = _context()
    workers = [_Worker(context, function) for _ in range(min(num_workers, len(waiting)))]
    try:
        while workers:
            remaining = min(worker.deadline for worker in workers) - time.monotonic()
            ready = wait([worker.connection for worker in workers], max(0.0, remaining))
            for worker in list(workers):
                if worker.connection in ready:
                    outcome = worker.receive()
                elif time.monotonic() >= worker.deadline:
                    outcome = worker.time_out()
                else:
                    continue
                if worker.ended and waiting:
                    workers.append(_Worker(context, function))
                if worker.ended or not waiting:
                    workers.remove(worker)
                    worker.end()
                else:
                    worker.send(waiting.popleft(), timeout)
                if outcome:
                    yield outcome
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that is starting, or working on an item until a deadline."""

    def __init__(self, context, function: Callable[[str], Any]):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs), daemon=True)
        with _ctrl_c_ignored():  # inherited by the process, for the seconds that its imports take
            self.process.start()
        theirs.close()
        self.item: str | None = None
        self.ended = False
        self.deadline = time.monotonic() + START_TIMEOUT

    def send(self, item: str, timeout: float) -> None:
        self.item = item
        self.deadline = time.monotonic() + timeout
        try:
            self.connection.send(item)
        except OSError:  # the process has ended: the next wait finds its connection closed
            return

    def receive(self) -> Outcome | None:
        """Receives the outcome of the current item; None from a process that has just started."""
        try:
            status, value, reason = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=5)
            self.end()
            reason = f"the process ended with exit code {self.process.exitcode}"
            return Outcome(self._current_item(), "crashed", reason=reason)
        return None if self.item is None else Outcome(self.item, status, value, reason)

    def time_out(self) -> Outcome:
        self.end()
        return Outcome(self._current_item(), "timeout", reason="stopped at the time limit")

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.process.kill()
            self.process.join(timeout=5)
            self.connection.close()

    def _current_item(self) -> str:
        """Returns the item it works on; raises RuntimeError for a process that never started."""
        if self.item is None:
            raise RuntimeError(f"expected a process to start within {START_TIMEOUT:g} s, got none (see above)")
        return self.item


def _serve(function: Callable[[str], Any], connection: Connection) -> None:
    """Runs in a process: reports that it has started, then processes items until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # handled by the main process, which ends this one
    connection.send(("ok", None, ""))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write to stderr directly, into the progress bar
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            outcome = ("ok", function(item), "")
        except Exception as error:  # any kind: one video must not stop the others
            outcome = ("failed", None, str(error) or type(error).__name__)
        connection.send(outcome)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _context():
    """Returns a context whose processes inherit no threads, and start quickly if the platform has a fork server."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context
