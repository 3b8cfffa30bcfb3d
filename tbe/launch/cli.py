"""What train.py and eval.py share: from a command line to resolved configs in a run's folder."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
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
from tbe.launch.error_log import write_error
from tbe.runs import run_folder

log = logging.getLogger(__name__)

LISTS = ("seeds", "variants", "values")  # of configs/sweep


def command(config_name: str, story: str) -> Callable[[], None]:
    """The entry point of a command line; `story` is the module that it runs, imported when there is something to run.

    Its prepare(config, overrides) returns the config files of one or several stages, written to the run's folder; its
    run(configs) the objective of a sweep. A process started by another one runs the configs of that one.
    """

    def job(config: DictConfig) -> Any:
        _silence_known_warnings()  # a launcher may run this in a process of its own
        overrides = list(HydraConfig.get().overrides.task)
        config.run_dir = os.path.abspath(HydraConfig.get().runtime.output_dir)
        is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            module = import_module(story)
            files = module.prepare(config, overrides)
            started = cluster_jobs.current()
            if started and not is_sweep:
                cluster_jobs.publish_configs(started, files, overrides)
            with worker_processes.sharing_configs(files):
                return module.run(files)
        except Exception as error:
            if is_sweep:  # the others go on
                file = write_error(config.run_dir, error)
                log.error("this run of the sweep failed: %s", _message_of(error, file), exc_info=file is None)
                return None
            _exit_with_message(error, config.run_dir)
            raise

    def main() -> None:
        if story == "tbe.train":
            cluster_jobs.requeue_when_stopped()
        register_resolvers(run_folder)
        # A run that prints to a file or a pipe shows its lines when they are written.
        sys.stdout.reconfigure(line_buffering=True)
        files: list[Path] = []
        try:
            files = worker_processes.inherited_configs() or _files_of_job(story)
            if not files:
                moved_keys.check(sys.argv[1:], moved_keys.EVAL if config_name == "eval" else moved_keys.TRAIN)
            if files:
                _silence_known_warnings()
                import_module(story).run(files)
                return
        except Exception as error:
            _exit_with_message(error, files[0].parent if files else None)
            raise
        sys.argv[1:] = map(quote_list_option, sys.argv[1:])
        hydra.main(version_base="1.3", config_path=config_dir(), config_name=config_name)(job)()

    return main


def _files_of_job(story: str) -> list[Path]:
    """The configs that the first process of a job composed, or an earlier start of it; none for this one to compose."""
    job, arguments = cluster_jobs.current(), sys.argv[1:]
    flags = [argument for argument in arguments if argument.startswith("-")]
    if job is None or (flags and not job.rank):
        return []
    if flags:
        raise UserError(f"expected one process for {' '.join(flags)}, got several of {job.name}")
    if job.rank:
        return cluster_jobs.wait_for_configs(job, arguments)
    found = cluster_jobs.configs_of_previous_start(job, arguments)
    go_on = getattr(import_module(story), "continued", None) if found else None
    files = [go_on(file) for file in found] if go_on else found
    if files:
        cluster_jobs.publish_configs(job, files, arguments)
    return files


def _exit_with_message(error: Exception, folder: str | os.PathLike | None) -> None:
    """Ends the command with one line; the traceback of what no user can put right is kept in the run's folder.

    Where there is no such folder, and with HYDRA_FULL_ERROR=1, it returns, for the error to be raised as it is.
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
    """What is said of an error: all that a user is told, or the beginning, with the file that has the traceback."""
    cause = _cause(error)
    if isinstance(cause, _user_errors()):
        return str(cause)
    return first_line(cause) + (f" (its traceback: {file})" if file else "")


def _cause(error: BaseException) -> BaseException:
    """What went wrong where Hydra built an object from its config."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def quote_list_option(argument: str) -> str:
    """`seeds=1,2` and `variants=moco,be` quoted: what a sweep goes over is told to each of its runs whole.

    Hydra would take the commas for a sweep over single seeds, of sweeps over all.
    """
    key, _, value = argument.partition("=")
    return f"{key}='{value}'" if key in LISTS and "," in value and value[0] not in "'\"" else argument


def _user_errors() -> tuple[type[Exception], ...]:
    """What a user can put right."""
    from tbe.data.readers import DecodeError  # slow to import

    return UserError, DecodeError


def _silence_known_warnings() -> None:
    """Leaves out what says nothing about the run: advertisements and a warning between two libraries."""
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


train = command("train", "tbe.train")
evaluate = command("eval", "tbe.eval")
preview = command("preview", "tbe.preview.command")
