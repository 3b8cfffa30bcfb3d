"""What Hydra does around a run and a sweep: makes their folders, and ends a sweep with one table."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tbe.errors import UserError
from tbe.runs import table


class RunFolder(Callback):
    """Makes the folder of a run or of a sweep and tries to write there; ends the command with one line where it can't.

    Hydra, which would make it a moment later, ends with a traceback of its own.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _make(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _make(config.hydra.sweep.dir)


def _make(folder: str) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(
            f"error: expected a folder that can be made and written to, got {folder} ({error.strerror}). Choose where "
            "runs lie with runs=<folder> or TBE_RUNS=<folder>"
        ) from None


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
        runs = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        overrides = {run: yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text()) for run in runs}
        common = set.intersection(*map(set, overrides.values())) if len(runs) > 1 else set()
        rows = {}
        for run in runs:
            varied = [override for override in overrides[run] if override not in common]
            rows[f"{run.name}: {' '.join(varied)}"] = _numbers(run)
        _write_csv(folder / "sweep.csv", rows)
        if not self.metrics or any("failed" in row for row in rows.values()) or not self._compared(folder):
            table(rows, title="sweep", transposed=True)
        print(f"run: {folder}")

    def _compared(self, folder: Path) -> bool:
        from tbe.reporting.comparison.compare import compare  # matplotlib: not for those who only ask for --help

        try:
            compare([str(folder)], None, list(self.metrics or []), self.against)
        except UserError as error:  # the runs are done: what can't be compared must not look like their failure
            print(f"not compared: {error}")
            return False
        return True


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
