"""Shares stages with the processes that Lightning starts beside this one, and ends them together.

Lightning starts them with this process's command line. Composed again, that would give another config: another time
in the folder's name, another 'latest', under multirun the whole sweep.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import Any

from tbe.errors import UserError
from tbe.launch.elastic import STARTING, has_restarts
from tbe.launch.stages import Stage, from_plain, to_plain

VARIABLE = "TBE_STAGES"
PLACED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
GRACE = 2  # seconds in which processes that Lightning started may end by themselves once the first one has failed
PATIENCE = 10  # seconds that they, when nobody answers, give the first one to end: it is the one that names the failure
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)

log = logging.getLogger(__name__)

# What started this process, where that was Lightning.
_parent = os.getppid() if VARIABLE in os.environ and "LOCAL_RANK" in os.environ else None
_watched: list[list[subprocess.Popen]] = []  # what Lightning started, in the lists that its observer looks at


class ProcessLost(UserError, ConnectionError):
    """Another process of the run failed, was killed or does not answer; the message has what is known of it."""


def is_inherited() -> bool:
    """Returns whether this process was started by another one of its run, not by a user."""
    return "LOCAL_RANK" in os.environ and VARIABLE in os.environ


def inherited_stages() -> list[Stage]:
    """Returns the stages to run where this process was started by another one; none where a user started it."""
    return from_plain(json.loads(os.environ[VARIABLE])) if is_inherited() else []


@contextmanager
def sharing_stages(stages: list[Stage]) -> Iterator[None]:
    """Passes the stages to processes that start within the block; afterwards the next job can start its own."""
    if VARIABLE in os.environ:
        yield
        return
    placed_before = {name for name in PLACED if name in os.environ}
    os.environ[VARIABLE] = json.dumps(to_plain(stages))  # a path may have any letter in it
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if not placed_before:
            _forget_processes()


@contextmanager
def abort_together(launcher: Any) -> Iterator[None]:
    """Ends the processes that Lightning started when the block fails in this one.

    Raises ProcessLost for a broken connection or no answer within `process_timeout`. If the first process does not
    answer either, the others kill it: stopped or stuck, it would stay forever.
    """
    if _parent is not None:
        _end_with(_parent, PATIENCE)
    try:
        yield
    except Exception as error:
        _watch(launcher)
        is_lost = _is_of_the_network(error)
        is_late = is_lost and "timed out" in str(error).lower()
        said = f"process {_rank()}: {_end_others() or _unknown(is_late)}"
        if is_late and _parent is not None:
            log.error(said)
            _end_parent()
        if is_lost:
            raise ProcessLost(said) from error
        raise
    else:
        _watch(launcher)


def _watch(launcher: Any) -> None:
    started = getattr(launcher, "procs", [])  # of one that started none, or starts them in another way, there are none
    if started and hasattr(started[0], "poll"):
        _watched.append(started)


def _end_others() -> str:
    """Kills the processes that Lightning started beside this one; returns which of them had failed before."""
    others = [process for started in _watched for process in started]
    for started in _watched:
        started.clear()  # Lightning's observer would end this process too, before it has said what happened
    _watched.clear()
    _wait(lambda: all(process.poll() is not None for process in others), GRACE)
    first = _rank() + 1
    failed = [_ending(number, process) for number, process in enumerate(others, start=first) if process.returncode]
    for process in others:
        process.send_signal(SIGKILL)  # also reaches one that is stopped
    _wait(lambda: all(process.poll() is not None for process in others), GRACE)
    return ", ".join(failed)


def _ending(number: int, process: subprocess.Popen) -> str:
    if process.returncode < 0:
        return f"process {number} was ended by {signal.Signals(-process.returncode).name}"
    return f"process {number} failed with status {process.returncode}, its error is above"


def _unknown(is_late: bool) -> str:
    if is_late:
        less = f" (less the last {STARTING} s, at most half, for starting again)" if has_restarts() else ""
        return f"another process did not answer within process_timeout{less}: it hangs, was stopped, or needs longer"
    return "the connection to another process broke: its own error, or the system's log where it was killed, says why"


def _rank() -> int:
    import torch.distributed as dist

    is_known = dist.is_available() and dist.is_initialized()
    return dist.get_rank() if is_known else int(os.environ.get("LOCAL_RANK", 0))


def _end_parent() -> None:
    _wait(lambda: os.getppid() != _parent, PATIENCE)
    if os.getppid() == _parent:
        os.kill(_parent, SIGKILL)


@cache
def _end_with(parent: int, patience: float) -> None:
    """From now on ends this process when the one that started it has ended, and it has not ended itself by then.

    Over gloo it sees that the connection broke. NCCL tells nobody: it would wait until its watchdog gives up.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(patience)
        log.error("process %d: the process that started it has ended, so it ends as well", _rank())
        os._exit(1)

    Thread(target=watch, daemon=True, name="end with the first process").start()


def _wait(is_over: Callable[[], bool], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not is_over() and time.monotonic() < limit:
        time.sleep(0.05)


def _is_of_the_network(error: Exception) -> bool:
    """Returns whether an error is one of communication: NCCL's and the store's have types, gloo's names a path."""
    import torch.distributed as dist

    is_known = dist.is_available() and isinstance(error, dist.DistError)
    return is_known or (isinstance(error, RuntimeError) and "/gloo/" in str(error))


def _forget_processes() -> None:
    import torch.distributed as dist

    _watched.clear()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    for name in PLACED:
        os.environ.pop(name, None)
