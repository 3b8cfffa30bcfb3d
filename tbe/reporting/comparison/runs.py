"""Reads the runs of sweeps: varied settings, seed and final metrics."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import yaml

from tbe.checkpoints.moved_names import present_settings
from tbe.errors import UserError
from tbe.reporting.comparison.alike import FOLLOWED, TOLD, check_alike
from tbe.reporting.comparison.values import as_text
from tbe.runs import SWEPT, overrides_of

NUMBERS = "metrics.json"
NOT_SETTINGS = ("seed", *SWEPT, "sweep", "then")
FILES = ("init_from", "resume")  # paths in a protocol
FOLDERS = ("data.root", "data.lists")  # paths among settings, shown by name: the rest is this machine's


class Run(NamedTuple):
    """One run of a sweep.

    name: of its recipe. settings: the overrides that the sweep varied, without the seed. metrics: those of a follow-up
    run (`then`) start with its stage, as in 'finetune/test/top1'. protocol: how the others were measured.
    """

    name: str
    settings: dict[str, str]
    seed: int
    metrics: dict[str, float]
    protocol: dict[str, Any]


def read_sweeps(folders: Sequence[str | Path], kept: Sequence[str] = ()) -> list[Run]:
    """Returns the finished runs of sweeps; raises UserError for a folder without runs or with unfinished ones.

    kept: settings that are told first, even if they are the same in all runs. Settings that only some runs override are
    read from the configs of the others: a run of `sweep=proof` is placed by its own `be.ratio` among those of
    `sweep=proof_ratio`.
    """
    found = []
    for folder in map(Path, folders):
        numbered = sorted((path for path in folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
        if not numbered:
            raise UserError(f"{folder}: expected the folder of a sweep (train.py -m), with runs 0, 1, ..., found none")
        missing = [path.name for path in numbered if not (path / NUMBERS).exists()]
        if missing:
            raise UserError(
                f"{folder}: expected {NUMBERS} of every run, found none in {', '.join(missing)}: they failed or are "
                "still training. Repeat them, or move their folders away to compare the others"
            )
        found += [(path, _overrides(path)) for path in numbered]
    told = dict.fromkeys([*kept, *(key for _, overrides in found for key in overrides)])
    found = [(path, _with_config(path, overrides, told)) for path, overrides in found]
    common = set.intersection(*(set(overrides.items()) for _, overrides in found))
    shown = [key for key in told if key in kept or any((key, own.get(key)) not in common for _, own in found)]
    varied = [{key: own[key] for key in shown if key in own} for _, own in found]
    return [_read(path, own) for (path, _), own in zip(found, _by_folder_name(varied), strict=True)]


class Chosen(NamedTuple):
    """The metrics of a comparison, and the variant to compare the others with; None if not chosen."""

    metrics: list[str] | None
    against: str | None


def write_runs(runs: Sequence[Run], chosen: Chosen, file: Path) -> None:
    """Writes runs, and what a comparison shows of them, to a JSON file for `read_runs` and `read_chosen`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {**chosen._asdict(), "runs": [run._asdict() for run in runs]}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_runs(file: str | Path) -> list[Run]:
    """Reads the runs from a file written by `write_runs`."""
    return [
        Run(**{**row, "settings": {key: as_text(value) for key, value in present_settings(row["settings"]).items()}})
        for row in json.loads(Path(file).read_text(encoding="utf-8"))["runs"]
    ]


def read_chosen(file: str | Path) -> Chosen:
    """Reads the choices from a file written by `write_runs`; all None if there is no such file."""
    if not Path(file).exists():
        return Chosen(None, None)
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    return Chosen(content["metrics"], content["against"])


def variants(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Groups runs that differ only in their seed, by name: the recipe and the varied settings."""
    has_names = len({run.name for run in runs}) > 1
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(called(run, has_names), []).append(run)
    for name, of_variant in found.items():
        seeds = [run.seed for run in of_variant]
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{name}: expected a run of each seed, got seeds {seeds}. Compare the sweeps one by one")
        check_alike(name, {run.seed: run.protocol for run in of_variant})
    return found


def called(run: Run, has_names: bool, without: str | None = None) -> str:
    """Returns the name of a run's variant: its settings but `without`, behind the recipe's name if recipes differ."""
    left_out = (without, "experiment") if has_names else (without,)
    settings = described({key: value for key, value in run.settings.items() if key not in left_out})
    return " ".join([run.name, *settings] if has_names or not settings else settings)


def described(settings: dict[str, str]) -> list[str]:
    """Returns settings as on the command line; a variant only by its name."""
    return [value if key == "variant" else f"{key}={value}" for key, value in settings.items()]


def _overrides(folder: Path) -> dict[str, str]:
    """Returns the overrides of a run of a sweep by key, without its seed."""
    said = overrides_of(folder)
    pairs = (override.split("=", 1) for override in said if "=" in override and not override.startswith("~"))
    told = present_settings({key.lstrip("+"): as_text(value) for key, value in pairs})
    told |= {override.partition("=")[0]: "left out" for override in said if override.startswith("~")}
    return {key: value for key, value in told.items() if key not in NOT_SETTINGS}


def _by_folder_name(settings: list[dict[str, str]]) -> list[dict[str, str]]:
    """Returns the settings of all runs with the names of folders in place of their paths, if those tell them apart."""
    for key in FOLDERS:
        paths = {own[key] for own in settings if key in own}
        if len({PurePath(path).name for path in paths}) == len(paths):
            settings = [{**own, key: PurePath(own[key]).name} if key in own else own for own in settings]
    return settings


def _with_config(folder: Path, overrides: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    """Adds the values of other keys from the run's config to its overrides, except choices of groups."""
    if all(key in overrides for key in keys):
        return overrides
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    found = {key: overrides.get(key, _value(config, key)) for key in keys}
    return {key: as_text(value) for key, value in found.items() if isinstance(value, bool | int | float | str | list)}


def _value(config: Any, key: str) -> Any:
    """Returns the value of a dotted key in a config; None if missing."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _read(folder: Path, settings: dict[str, str]) -> Run:
    content = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    protocol = content.pop("protocol")
    # The location of the run is meaningless elsewhere.
    protocol |= {name: os.path.relpath(protocol[name], folder) for name in FILES if protocol.get(name)}
    metrics = {name: value for name, value in content.items() if isinstance(value, int | float)}
    for file in sorted(folder.glob(f"*/{NUMBERS}")):
        followed = json.loads(file.read_text(encoding="utf-8"))
        own = followed.get("protocol", {})
        protocol.setdefault(FOLLOWED, {})[file.parent.name] = {key: own[key] for key in (*TOLD, "epochs") if key in own}
        metrics |= {
            f"{file.parent.name}/{name}": value for name, value in followed.items() if isinstance(value, int | float)
        }
    return Run(protocol["name"], settings, protocol["seed"], metrics, protocol)
