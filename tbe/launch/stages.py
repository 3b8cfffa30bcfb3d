"""Reads and writes the stages of a command: their resolved configs and folders, as processes of a run share them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tbe import runs
from tbe.checkpoints.moved_names import read_config


class Stage(NamedTuple):
    """One training, evaluation or preview of a command.

    config: resolved, as plain types. run_dir: where its config lies and what it writes. done: whether an earlier start
    has finished it, so that its numbers are there.
    """

    config: dict[str, Any]
    run_dir: Path
    done: bool = False


def read_stage(run_dir: str | Path, done: bool = False) -> Stage:
    """Reads the stage whose config lies in a folder."""
    return Stage(read_config(Path(run_dir, runs.CONFIG)), Path(run_dir), done)


def write_stage(config: dict[str, Any]) -> Stage:
    """Writes a resolved config into its run's folder, and returns the stage."""
    runs.write_config(Path(config["run_dir"]), config)
    return Stage(config, Path(config["run_dir"]))


def to_plain(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """Returns what another process needs to read the same stages: plain types."""
    return [{"run_dir": str(stage.run_dir), "done": stage.done} for stage in stages]


def from_plain(named: Iterable[dict[str, Any]]) -> list[Stage]:
    """Reads the stages that `to_plain` names."""
    return [read_stage(stage["run_dir"], stage["done"]) for stage in named]
