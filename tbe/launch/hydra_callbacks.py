"""Hydra callbacks: make the folders of runs and sweeps, and print a table at the end of a sweep."""

from __future__ import annotations

import copy
import csv
import json
import os
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tbe import runs
from tbe.data.storage.addresses import check_addresses
from tbe.errors import UserError
from tbe.launch.quoting import quoted

NAMED_BY_TIME = "${run_folder:"  # what the folder is in configs/, unless the command line chooses one


class RunFolder(Callback):
    """Makes the folder of a run or of a sweep, or ends the command with one line if it can't.

    A folder that is named by the time is new: two commands of the same second have two. A chosen one may exist, but
    without checkpoints, unless the run resumes from them (`resumes`: whether the command can). Settings that can't
    change in a resumed run are refused here as well, before Hydra writes into its folder.
    """

    def __init__(self, resumes: bool = False):
        self.resumes = resumes

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check_addresses(config)
        resume = config.get("resume") if self.resumes else None
        resumed = runs.resumed_folder(config.runs, config.run_name, resume)
        folder = os.path.abspath(config.hydra.run.dir)
        if resume is None and runs.has_checkpoint(folder):
            how = f"add resume={quoted(folder)} to go on from there, or " if self.resumes else ""
            _end(
                f"{folder}: expected a folder without checkpoints, got that of a run, which would be replaced: {how}"
                "choose another hydra.run.dir, or none for a new one"
            )
        if resume is not None:
            self._check_resumed(config, folder)
        folder = _made(config.hydra.run, folder, is_old=folder == resumed)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.run.dir = folder

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check_addresses(config)
        folder = _made(config.hydra.sweep, os.path.abspath(config.hydra.sweep.dir), is_old=False)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.sweep.dir = folder
            # Hydra composes the config of each run anew, of these: all have the folder that is made here.
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(folder)}")

    def _check_resumed(self, config: DictConfig, folder: str) -> None:
        task = copy.deepcopy(config)
        overrides = list(config.hydra.overrides.task)
        with read_write(task), open_dict(task):
            del task["hydra"]
            task.run_dir = folder
        try:
            import_module("tbe.launch.train_config").resolve(task, overrides)
        except UserError as error:
            _end(str(error))


def _check_addresses(config: DictConfig) -> None:
    """Ends the command for credentials in an address, before Hydra writes it into the folder of a run."""
    try:
        check_addresses(config.get("data"))
    except UserError as error:
        _end(str(error))


def _made(node: DictConfig, folder: str, is_old: bool) -> str:
    """Makes the folder that a part of Hydra's config names, and tries to write there; returns its path."""
    is_named_by_time = OmegaConf.to_container(node, resolve=False)["dir"].startswith(NAMED_BY_TIME)  # type: ignore
    try:
        if is_named_by_time and not is_old:
            folder = runs.claim(folder)
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _end(
            f"expected a folder that can be made and written to, got {folder} ({error.strerror}). Choose where "
            "runs lie with runs=<folder> or TBE_RUNS=<folder>"
        )
    return folder


def _end(message: str) -> None:
    raise SystemExit(f"error: {message}")  # of any other exception Hydra makes a warning


class SweepSummary(Callback):
    """Prints a line for each run of a multirun, with what was varied and the final numbers; writes sweep.csv.

    Reads the runs' folders, so it works with any launcher. A run without metrics.json is shown as failed. With
    `metrics` these are compared over the seeds instead (`tbe.reporting.comparison`), beside the variant `against`.
    """

    def __init__(self, metrics: Sequence[str] | None = None, against: str | None = None):
        self.metrics = metrics
        self.against = against

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        found = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        overrides = {run: runs.overrides_of(run) for run in found}
        common = set.intersection(*map(set, overrides.values())) if len(found) > 1 else set()
        rows = {}
        for run in found:
            varied = [override for override in overrides[run] if override not in common]
            rows[f"{run.name}: {' '.join(varied)}"] = _numbers(run)
        _write_csv(folder / "sweep.csv", rows)
        if not self.metrics or any("failed" in row for row in rows.values()) or not self._compared(folder):
            runs.table(rows, title="sweep", transposed=True)
        print(f"run: {folder}")

    def _compared(self, folder: Path) -> bool:
        from tbe.reporting.comparison.compare import compare  # matplotlib: not for those who only ask for --help

        for against in dict.fromkeys([self.against, None]):  # a part of a sweep may lack what others are compared with
            try:
                compare([str(folder)], None, list(self.metrics or []), against)
            except UserError as error:  # the runs are done: what can't be compared must not look like their failure
                print(f"not compared{f' with {against}' if against else ''}: {error}")
            else:
                return True
        return False


def _numbers(run: Path) -> dict[str, Any]:
    file = run / "metrics.json"
    if not file.exists():
        return {"failed": 1}
    metrics = json.loads(file.read_text())
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float))}


def _write_csv(file: Path, rows: dict[str, dict[str, Any]]) -> None:
    columns = ["run", *dict.fromkeys(name for row in rows.values() for name in row)]
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns, restval="")
        writer.writeheader()
        writer.writerows({"run": name, **row} for name, row in rows.items())
