"""Runs the tasks of an evaluation; one that fails does not cost the numbers of the others."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from tbe.data.readers import DecodeError
from tbe.errors import UserError, first_line
from tbe.evaluation.tasks.base import Evaluation, Task
from tbe.launch.error_log import write_error
from tbe.training.callbacks.preemption import Interrupted

Metrics = dict[str, float]

NOT_YET = "not measured yet"

log = logging.getLogger(__name__)


class TasksFailed(UserError):
    """Some tasks of an evaluation failed; the message names them, with the reason of each."""


class TaskRunner:
    """Runs tasks one after the other, and records those that failed with the reason of each in one line.

    folder: that of the run, whose error.log gets the tracebacks of errors that are not the user's. With several
    processes a failure ends the run, as the others may wait for this process.
    """

    def __init__(self, tasks: Mapping[str, Task], folder: Path):
        self.tasks = tasks
        self.folder = folder
        self.failed: dict[str, str] = {}  # what failed -> why, in one line
        self._errors: list[Exception] = []
        self._num_done = 0

    def run(self, evaluation: Evaluation, keep: Callable[[Metrics, dict[str, str]], None], of: str = "") -> Metrics:
        """Returns the metrics of all tasks that could be measured; of: the name of the network in messages.

        After each task `keep` is called with the metrics so far, and with why others are missing: what -> reason, of
        all that failed in this command and of the tasks to come.
        """
        metrics: Metrics = {}
        names = {name: self.name(name, of) for name in self.tasks}
        to_come = dict.fromkeys(names.values(), NOT_YET)
        for name, task in self.tasks.items():
            what = names[name]
            with self.attempt(what):
                metrics |= task.run(evaluation)
            del to_come[what]
            keep(metrics, self.failed | to_come)
        return metrics

    @staticmethod
    def name(task: str, of: str) -> str:
        """Returns what a task of a network is called in messages."""
        return f"{task} of {of}" if of else task

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Logs and records an error of the block, and lets the rest go on; what: its name in messages."""
        try:
            yield
        except Exception as error:
            several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
            if several or isinstance(error, Interrupted):
                raise
            self._errors.append(error)
            self.failed[what] = self._line(error)
            log.error("%s failed: %s", what, self.failed[what])
        else:
            self._num_done += 1

    def check(self) -> None:
        """Raises TasksFailed with everything that failed, or the error itself if all failed with the same one."""
        if not self.failed:
            return
        reasons = set(self.failed.values())
        if not self._num_done and len(reasons) == 1:
            raise self._errors[0]
        total = len(self.failed) + self._num_done
        told = "; ".join(f"{what}: {why}" for what, why in self.failed.items())
        raise TasksFailed(f"{len(self.failed)} of {total} tasks failed, the numbers of the others are kept: {told}")

    def _line(self, error: Exception) -> str:
        if isinstance(error, (UserError, DecodeError)):
            return " ".join(str(error).split())
        file = write_error(self.folder, error)
        if file is None:
            traceback.print_exception(error)
        return first_line(error) + (f" (its traceback: {file})" if file else "")
