"""Runs a command line: composes its config with Hydra, makes the run's folder and starts the stages."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig

from tbe.config import config_dir, register_resolvers
from tbe.errors import UserError, first_line
from tbe.launch import cluster_jobs, moved_keys, worker_processes
from tbe.launch.elastic import with_processes
from tbe.launch.error_log import write_error
from tbe.launch.stages import Stage
from tbe.runs import SWEPT, run_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """A command: Hydra composes its config, from which its module prepares stages and runs them.

    config_name: the file in configs/. module: imported once there is something to run; its `prepare(config, overrides)`
    writes the resolved configs of one or several stages and returns them, its `run(stages)` returns the objective of a
    sweep. moved: former keys and their present places. is_requeued: whether a stopped job is queued again by its
    scheduler; `continued(stage)` of the module then returns the stage resumed from its last checkpoint.

    A process that another one started runs the stages of that one.
    """

    config_name: str
    module: str
    moved: Mapping[str, str]
    is_requeued: bool = False

    def __call__(self) -> None:
        """Runs the command of `sys.argv`."""
        if self.is_requeued:
            cluster_jobs.requeue_when_stopped()
        register_resolvers(run_folder)
        # A run that prints to a file or a pipe shows its lines when they are written.
        sys.stdout.reconfigure(line_buffering=True)
        stages: list[Stage] = []
        try:
            stages = worker_processes.inherited_stages() or self._stages_of_job()
            if stages:
                _silence_known_warnings()
                import_module(self.module).run(stages)
                return
            moved_keys.check(sys.argv[1:], self.moved)
        except Exception as error:
            _exit_with_message(error, stages[0].run_dir if stages else None)
            raise
        sys.argv[1:] = map(quote_list_option, sys.argv[1:])

        def job(config: DictConfig) -> Any:  # Hydra asks a function where it was written
            return self.run(config)

        hydra.main(version_base="1.3", config_path=config_dir(), config_name=self.config_name)(job)()

    def run(self, config: DictConfig) -> Any:
        """Runs the config that Hydra composed. A run of a sweep that fails is logged, and the sweep goes on."""
        _silence_known_warnings()  # a launcher may run this in a process of its own
        overrides = list(HydraConfig.get().overrides.task)
        config.run_dir = os.path.abspath(HydraConfig.get().runtime.output_dir)
        is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            module = import_module(self.module)
            stages = module.prepare(config, overrides)
            started = cluster_jobs.current()
            if started and not is_sweep:
                cluster_jobs.publish_stages(started, stages, overrides)
            with worker_processes.sharing_stages(stages):
                return module.run(stages)
        except Exception as error:
            if is_sweep:
                file = write_error(config.run_dir, error)
                log.error("this run of the sweep failed: %s", _message_of(error, file), exc_info=file is None)
                return None
            _exit_with_message(error, config.run_dir)
            raise

    def _stages_of_job(self) -> list[Stage]:
        """Returns the stages that this job's first process, or an earlier start, composed; none if there are none."""
        job, arguments = cluster_jobs.current(), sys.argv[1:]
        flags = [argument for argument in arguments if argument.startswith("-")]
        if job is None or (flags and not job.rank):
            return []
        if flags:
            raise UserError(f"expected one process for {' '.join(flags)}, got several of {job.name}")
        if job.rank:
            import_module(self.module)  # seconds, which the first process needs as well before it names the stages
            return cluster_jobs.wait_for_stages(job, arguments)
        stages = cluster_jobs.stages_of_previous_start(job, arguments)
        if stages and self.is_requeued:
            before = cluster_jobs.processes_of_previous_start(job, arguments)
            stages = [with_processes(import_module(self.module).continued(stage), before) for stage in stages]
        if stages:
            cluster_jobs.publish_stages(job, stages, arguments)
        return stages


def _exit_with_message(error: Exception, folder: str | os.PathLike | None) -> None:
    """Ends the command with one line, and writes the traceback of an error that is not the user's to error.log.

    Returns, for the caller to raise the error as it is, if such an error has no folder, or with HYDRA_FULL_ERROR=1.
    """
    file = None
    if not isinstance(_cause(error), _user_errors()):
        if folder is None:
            return
        file = write_error(folder, error)
        if file is None:
            traceback.print_exception(error)  # Hydra would cut it
    if "HYDRA_FULL_ERROR" not in os.environ:
        raise _OneLine(_message_of(error, file)) from None


def _message_of(error: Exception, file: Path | None) -> str:
    """Returns the message of a user error, or the first line of any other with the file that has its traceback."""
    cause = _cause(error)
    if isinstance(cause, _user_errors()):
        return str(cause)
    return first_line(cause) + (f" (its traceback: {file})" if file else "")


def _cause(error: BaseException) -> BaseException:
    """Returns the error itself in place of those that Hydra wraps around it while building an object."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def quote_list_option(argument: str) -> str:
    """Returns `seeds=1,2` or `variants=moco,be` with its value quoted, any other argument unchanged.

    Every run of a sweep gets the whole list; without quotes Hydra would sweep over its entries.
    """
    key, _, value = argument.partition("=")
    return f"{key}='{value}'" if key in SWEPT and "," in value and value[0] not in "'\"" else argument


def _user_errors() -> tuple[type[Exception], ...]:
    """Returns the errors that a user can put right."""
    from tbe.data.readers import DecodeError  # slow to import

    return UserError, DecodeError


def _silence_known_warnings() -> None:
    """Silences advertisements, and warnings that do not concern the run."""
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: "Tip:" not in record.getMessage())
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*Total length of `list` across ranks is zero.*")  # no validation
    warnings.filterwarnings(
        "ignore", message=".*`broadcast_buffers` is deprecated.*"
    )  # its successor is as new as that
    # The sampler goes on where the run was stopped, which Lightning can't see.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")


class _OneLine(SystemExit):
    """Ends the command with a message and exit code 1, without a traceback."""

    def __init__(self, message: str):
        super().__init__(f"error: {message}")


train = Command("train", "tbe.train", moved_keys.TRAIN, is_requeued=True)
evaluate = Command("eval", "tbe.eval", moved_keys.EVAL)
preview = Command("preview", "tbe.preview.command", moved_keys.TRAIN)
