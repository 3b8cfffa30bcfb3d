"""Finds and reads the runs of train.py, eval.py and their sweeps in folders."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tbe.checkpoints.moved_names import with_present_names
from tbe.errors import UserError

CONFIG, NUMBERS, CURVES, SWEEP = "config.yaml", "metrics.json", "metrics.csv", "sweep.csv"
KINDS = {"training": "Training", "evaluation": "Evaluation", "sweep": "Sweep", "other": "Other"}
OWN = {CONFIG, NUMBERS, CURVES, SWEEP}
SKIPPED = {"checkpoints", "tensorboard", "wandb"}  # folders of a run with nothing to show


@dataclass
class Run:
    """The content of the folder of a training run, an evaluation or a sweep; missing parts are empty.

    metrics: metrics.json without its protocol. files: all other files, except those of runs below it.
    written: time of its config (start of the run), or of a sweep's table (its end).
    label: its unique name on the page.
    """

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    written: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        return str(self.config.get("run_name", self.folder.name))

    @property
    def queries(self) -> list[str]:
        """Returns the measured splits; if there are several, their names end the keys of metrics."""
        return list(self.config.get("query") or self.config.get("evaluation", {}).get("splits") or [])

    @property
    def kind(self) -> str:
        if not self.config:
            return "sweep" if (self.folder / SWEEP).exists() else "other"
        return "training" if "stage" in self.config else "evaluation" if "tasks" in self.config else "other"


def find_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Returns the runs in and below folders, each once, with labels; raises UserError for a folder without any."""
    found: dict[Path, Run] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: expected the folder of a run, got {'a file' if folder.exists() else 'nothing'}")
        below = {run.folder: run for run in _walk(folder.resolve())}
        if not below:
            raise UserError(
                f"{folder}: expected the folder of a run of train.py or eval.py, or a folder above some, "
                f"got one without any {CONFIG}, {NUMBERS} or {SWEEP} of theirs"
            )
        found |= below
    runs = list(found.values())
    for run, label in zip(runs, _labels(runs), strict=True):
        run.label = label
    return runs


def read_rows(file: Path) -> list[list[str]]:
    """Returns the rows of a CSV file; raises UserError for other content."""
    try:
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            return [row for row in csv.reader(lines) if row]
    except csv.Error as error:
        raise UserError(f"{file}: expected comma-separated values, got {error}") from None


def _walk(top: Path) -> Iterator[Run]:
    """Yields runs, outer ones first; a file belongs to the innermost run that contains it."""
    runs: dict[Path, Run] = {}
    for path, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        folder = Path(path)
        run = _read(folder, files)
        if run:
            runs[folder] = run
            yield run
        owner = next((runs[above] for above in (folder, *folder.parents) if above in runs), None)
        if owner:
            owner.files += [folder / name for name in sorted(files) if not (folder == owner.folder and name in OWN)]


def _read(folder: Path, files: list[str]) -> Run | None:
    """Reads the run of a folder; None if it is not a run."""
    config = with_present_names(_mapping(folder / CONFIG, yaml.safe_load)) if CONFIG in files else {}
    metrics = _mapping(folder / NUMBERS, json.loads) if NUMBERS in files else {}
    if "run_dir" not in config:
        config = {}
    protocol = metrics.pop("protocol", {})
    if not config and not protocol and SWEEP not in files:
        return None
    first = next(name for name in (CONFIG, NUMBERS, SWEEP) if name in files)
    written = datetime.fromtimestamp((folder / first).stat().st_mtime)
    return Run(folder, config, metrics, protocol, written=f"{written:%Y-%m-%d %H:%M}")


def _mapping(file: Path, parse: Any) -> dict[str, Any]:
    try:
        content = parse(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: expected {file.suffix[1:].upper()}, got {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}


def _labels(runs: list[Run]) -> list[str]:
    """Returns unique labels: the name of each run, with the end of its folder's path where names repeat."""
    namesakes = Counter(run.name for run in runs)
    labels = []
    for run in runs:
        others = [other.folder for other in runs if other is not run and other.name == run.name]
        depths = range(1, len(run.folder.parts) + 1)
        ends = ("/".join(run.folder.parts[-depth:]) for depth in depths)
        end = next(end for end in ends if not any(f"/{other}".endswith(f"/{end}") for other in others))
        labels.append(run.name if namesakes[run.name] == 1 else f"{run.name} ({end})")
    return labels
