"""An audit of one model on one split, as its folder holds it: answers.csv and audit.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tbe import runs
from tbe.auditing.answers import Answers
from tbe.auditing.measures import Estimate, measured
from tbe.errors import MissingFile
from tbe.runs import write_json

FOLDER = "audit"  # of all audits of a run
ANSWERS, RECORD = "answers.csv", "audit.json"
STAGES = ("pretrain", "finetune", "linear")  # folders of runs that follow another one
PICTURES = "clips"  # the folder of the films


@dataclass(frozen=True)
class Audited:
    """The answers of a model, and what was asked how: `about` holds plain types."""

    answers: Answers
    about: dict[str, Any]
    folder: Path = field(default=Path(), compare=False)

    @property
    def name(self) -> str:
        """The name of the model."""
        return str(self.about["model"])

    @property
    def weights(self) -> str:
        """Where the weights come from, in short: the folder of the run and, unless it is the last one, the checkpoint.

        Of other models the file and its folder, or what they were loaded by; of random weights the network and seed.
        """
        origin = self.about["origin"]
        above = self.folder.absolute().parents
        if origin is None and FOLDER in (names := [folder.name for folder in above]):
            return _short(above[names.index(FOLDER) + 1])  # of the run that audited what it trained
        if not isinstance(origin, dict):
            return f"{origin}{_network(self.about)}"
        if not origin.get("path"):
            return str(origin.get("model", ""))
        path = Path(origin["path"])
        if path.parent.name != runs.LAST.parent.name:
            return "/".join(path.parts[-2:])
        run = _short(path.parent.parent)
        return run if path.name == runs.LAST.name else f"{run}/{path.stem}"

    @property
    def readers(self) -> list[str]:
        """Who answered in full: the linear classifier, and the model's own head if it has one."""
        return [reader for reader in self.answers.readers if reader in ("linear", "head")]

    @cached_property
    def measures(self) -> dict[str, dict[str, Estimate]]:
        """The measures of each reader, all from the answers."""
        draws, seed = self.about["draws"], self.about["seed"]
        return {reader: measured(self.answers, reader, draws, seed) for reader in self.readers}

    def write(self, folder: Path) -> None:
        """Writes answers.csv, and audit.json with what was asked and all numbers."""
        folder.mkdir(parents=True, exist_ok=True)
        self.answers.write(folder / ANSWERS)
        numbers = {
            reader: {name: list(estimate) for name, estimate in found.items()}
            for reader, found in self.measures.items()
        }
        write_json(folder / RECORD, {"about": self.about, "measures": numbers})

    @classmethod
    def read(cls, folder: Path) -> Audited:
        """Reads a folder; the numbers follow from its answers."""
        if not (folder / RECORD).is_file():
            raise MissingFile(f"{folder / RECORD}: expected the record of an audit, got no such file")
        about = json.loads((folder / RECORD).read_text(encoding="utf-8"))["about"]
        return cls(Answers.read(folder / ANSWERS), about, folder)


def _short(run: Path) -> str:
    """Returns the name of a run's folder; in a sweep, 0, 1, ..., or of a run that follows another, also those above."""
    above = run.parent.name and (run.name.isdigit() or run.name in STAGES)
    return f"{_short(run.parent)}/{run.name}" if above else run.name


def _network(about: dict[str, Any]) -> str:
    """Returns the network whose weights no file has, its settings and the seed, or nothing if it is not known."""
    settings = dict(about.get("backbone") or {})
    if not settings:
        return ""
    kind = settings.pop("_target_", "").rpartition(".")[2]
    told = ", ".join(f"{name}={value}" for name, value in settings.items())
    return f" {kind}({told}), seed {about['pairs_seed']}"


def find_audits(folder: Path) -> list[Audited]:
    """Returns the audits in or below a folder, in the order of their folders' names."""
    return [Audited.read(file.parent) for file in sorted(folder.rglob(RECORD))]


def told_apart(audits: list[Audited]) -> list[Audited]:
    """Returns the audits with the weights in the names of those that have the same name."""
    names = [audited.name for audited in audits]
    return [
        replace(audited, about=audited.about | {"model": f"{audited.name} ({audited.weights})"})
        if names.count(audited.name) > 1
        else audited
        for audited in audits
    ]
