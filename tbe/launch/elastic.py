"""Runs that torchrun starts again: when a process fails, and with --nnodes=1:8 where machines come and go."""

from __future__ import annotations

import copy
import os
from datetime import timedelta
from typing import Any

from tbe.errors import UserError
from tbe.launch.stages import Stage, write_stage

STARTING = 30  # seconds of process_timeout that torchrun and a program get to end, to meet and to start again


def answer_limit(process_timeout: float) -> timedelta:
    """Returns how long a process waits for the others before one of them counts as hung or lost.

    process_timeout: seconds. Where torchrun starts processes again, the last STARTING of them, at most half, are left
    for that, so that a run that loses a machine goes on within process_timeout.
    """
    reserve = min(STARTING, process_timeout / 2) if has_restarts() else 0
    return timedelta(seconds=process_timeout - reserve)


def has_restarts() -> bool:
    """Returns whether torchrun starts processes that fail again (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0


def num_processes() -> int:
    """Returns how many processes torchrun or SLURM has started for this run; 1 where a user started it."""
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1)


def with_processes(stage: Stage, before: int | None) -> Stage:
    """Returns a stage for the processes that there are now, which together take as many videos a step as `before`.

    before: the number of processes of its last start, None if unknown. Only under torchrun; a stage that is done stays
    as it is. Writes the changed config. Raises UserError for videos that can't be distributed evenly.
    """
    now = num_processes()
    if stage.done or before in (None, now) or "LOCAL_WORLD_SIZE" not in os.environ:
        return stage
    config = copy.deepcopy(stage.config)
    total = config["batch_size"] * before
    if total % now:
        raise UserError(
            f"batch_size={config['batch_size']} on {before} processes: expected a number of processes that divides the "
            f"{total} videos of a step, got {now}. Start with a batch_size that all numbers of machines divide"
        )
    _share(config, total // now)
    return write_stage(config)


def _share(config: dict[str, Any], batch_size: int) -> None:
    """Sets the videos of each process in a step, and what the Trainer is told of processes."""
    data, trainer = config["datamodule"], config["trainer"]
    if data["eval_batch_size"] == config["batch_size"]:
        data["eval_batch_size"] = batch_size
    config["batch_size"] = data["batch_size"] = batch_size
    trainer["num_nodes"] = int(os.environ["GROUP_WORLD_SIZE"])
    if trainer["devices"] != -1:  # all of a machine
        trainer["devices"] = int(os.environ["LOCAL_WORLD_SIZE"])
