"""Calling a function in processes that may hang or crash."""

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

PRELOADED = ["tbe.data.readers"]  # what takes seconds to import
START_TIMEOUT = 300.0  # seconds


class Outcome(NamedTuple):
    """How a call ended: with a `value` where the status is ok, else with a `reason`."""

    item: str
    status: str  # ok, failed (it raised), timeout, or crashed (its process ended)
    value: Any = None
    reason: str = ""


def call_in_processes(
    function: Callable[[str], Any], items: Iterable[str], num_workers: int, timeout: float
) -> Generator[Outcome, None, None]:
    """Yields the outcome of function(item) for each item, as they end.

    A call of more than `timeout` seconds is ended with its process, and another process takes its place. Closing the
    iterator ends all processes. RuntimeError when a process does not start.
    """
    waiting = deque(items)
    context = _context()
    workers = [_Worker(context, function) for _ in range(min(num_workers, len(waiting)))]
    try:
        while workers:
            patience = min(worker.deadline for worker in workers) - time.monotonic()
            answered = wait([worker.connection for worker in workers], max(0.0, patience))
            for worker in list(workers):
                if worker.connection in answered:
                    outcome = worker.answer()
                elif time.monotonic() >= worker.deadline:
                    outcome = worker.give_up()
                else:
                    continue
                if worker.ended and waiting:
                    workers.append(_Worker(context, function))
                if worker.ended or not waiting:
                    workers.remove(worker)
                    worker.end()
                else:
                    worker.give(waiting.popleft(), timeout)
                if outcome:
                    yield outcome
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that is starting, or at work on an item until a deadline."""

    def __init__(self, context, function: Callable[[str], Any]):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs), daemon=True)
        with _ctrl_c_ignored():  # which the process inherits, for the seconds that its imports take
            self.process.start()
        theirs.close()
        self.item: str | None = None
        self.ended = False
        self.deadline = time.monotonic() + START_TIMEOUT

    def give(self, item: str, timeout: float) -> None:
        self.item = item
        self.deadline = time.monotonic() + timeout
        try:
            self.connection.send(item)
        except OSError:  # it ended meanwhile: the next wait finds its connection closed
            return

    def answer(self) -> Outcome | None:
        """The outcome of its item; None from a process that has just started."""
        try:
            status, value, reason = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(timeout=5)
            self.end()
            reason = f"the process ended with exit code {self.process.exitcode}"
            return Outcome(self._given(), "crashed", reason=reason)
        return None if self.item is None else Outcome(self.item, status, value, reason)

    def give_up(self) -> Outcome:
        self.end()
        return Outcome(self._given(), "timeout", reason="stopped at the time limit")

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.process.kill()
            self.process.join(timeout=5)
            self.connection.close()

    def _given(self) -> str:
        """Its item; RuntimeError for a process that has not even started."""
        if self.item is None:
            raise RuntimeError(f"expected a process to start within {START_TIMEOUT:g} s, got none (see above)")
        return self.item


def _serve(function: Callable[[str], Any], connection: Connection) -> None:
    """What runs in a process: says that it is there, then answers items until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the first process, which ends this one
    connection.send(("ok", None, ""))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write to it past Python, through the progress bar
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            answer = ("ok", function(item), "")
        except Exception as error:  # of any kind: one video must not stop the others
            answer = ("failed", None, str(error) or type(error).__name__)
        connection.send(answer)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _context():
    """Processes that inherit no threads, and start quickly where the platform can fork them off a prepared one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context
