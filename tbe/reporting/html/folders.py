"""The runs in folders: what train.py, eval.py and their sweeps left there, read."""

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
    """The folder of a training run, an evaluation or a sweep; what it does not have is empty.

    metrics: metrics.json without its protocol. files: all other files of the folder, but those of runs below it.
    written: when its config was, at its start; of a sweep the table, at its end.
    label: what it is called on the page, different for each run.
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
        """The splits that were measured, whose names end the keys of metrics where there are several."""
        return list(self.config.get("query") or self.config.get("evaluation", {}).get("splits") or [])

    @property
    def kind(self) -> str:
        if not self.config:
            return "sweep" if (self.folder / SWEEP).exists() else "other"
        return "training" if "stage" in self.config else "evaluation" if "tasks" in self.config else "other"


def find_runs(folders: Iterable[str | Path]) -> list[Run]:
    """The runs in folders and below them, each once, with labels; a ValueError for a folder without any."""
    found: dict[Path, Run] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: expected the folder of a run, got {'a file' if folder.exists() else 'nothing'}")
        below = {run.folder: run for run in _walk(folder.resolve())}
        if not below:
            raise UserError(
                f"{folder}: expected the folder of a run of train.py or eval.py, or a folder above some, "
                f"got one in which none has a {CONFIG}, {NUMBERS} or {SWEEP} of theirs"
            )
        found |= below
    runs = list(found.values())
    for run, label in zip(runs, _labels(runs), strict=True):
        run.label = label
    return runs


def read_rows(file: Path) -> list[list[str]]:
    """The rows of a CSV file; a ValueError for what is none."""
    try:
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            return [row for row in csv.reader(lines) if row]
    except csv.Error as error:
        raise UserError(f"{file}: expected comma-separated values, got {error}") from None


def _walk(top: Path) -> Iterator[Run]:
    """Runs, those above first; a file belongs to the run that is nearest above it."""
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
    """The run of a folder; None where its files are of something else."""
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
    """The name of each run, with as much of its folder's end as tells it from others of that name."""
    namesakes = Counter(run.name for run in runs)
    labels = []
    for run in runs:
        others = [other.folder for other in runs if other is not run and other.name == run.name]
        depths = range(1, len(run.folder.parts) + 1)
        ends = ("/".join(run.folder.parts[-depth:]) for depth in depths)
        end = next(end for end in ends if not any(f"/{other}".endswith(f"/{end}") for other in others))
        labels.append(run.name if namesakes[run.name] == 1 else f"{run.name} ({end})")
    return labels
