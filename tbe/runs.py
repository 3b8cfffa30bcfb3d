"""Run folders: finding checkpoints by name, run ids, and the files and tables that a run writes."""

from __future__ import annotations

import json
import os
import platform
import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import tbe
from tbe.errors import MissingFile

LAST, BEST = Path("checkpoints", "last.ckpt"), Path("checkpoints", "best.ckpt")
EXPORTED = Path("backbone.safetensors")  # in the folder that task=export writes
ID = "run_id"  # the file with the id of a folder's run, which stays when the folder is moved

CONFIG, METRICS = "config.yaml", "metrics.json"  # in a run's folder
OVERRIDES = "overrides.yaml"  # what the command said of these; Hydra's are of the last one, even if it was refused
SWEPT = ("seeds", "variants", "values", "hosts", "distractors", "roots", "lists")  # lists that configs/sweep take
UNMEASURED = "unmeasured"  # in the protocol of the metrics: the tasks whose numbers are missing, with the reason


def find(name: str, runs: str | os.PathLike, nested: bool = True, stage: str | None = None) -> Path:
    """Returns the checkpoint of a path, a run folder, a name's folder (its newest run), or 'latest' (newest in `runs`).

    Of a folder that task=export wrote it is the file of weights. Without `nested` only runs directly in `runs` count,
    not their follow-up runs (`then`). stage: of the runs among which 'latest' is, None for all. Raises MissingFile if
    there is none.
    """
    if name == "latest":
        pattern = f"**/{LAST}" if nested else f"*/{LAST}"
        found = sorted(Path(runs).glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
        newest = next((path for path in found if stage is None or _stage_of(path) == stage), None)
        if newest is None:
            of_stage = f" of stage={stage}" if stage else ""
            raise MissingFile(f"checkpoint=latest: expected a run{of_stage} with {LAST} below {runs}, found none")
        return newest
    path = Path(name)
    if path.is_dir():
        newest = max(path.glob(f"*/{LAST}"), key=lambda file: file.stat().st_mtime, default=path / LAST)
        path = next((file for file in (path / LAST, path / EXPORTED) if file.is_file()), newest)
    if not path.is_file():
        raise MissingFile(f"checkpoint: expected a file, a run's folder or 'latest', got {name!r} (no {path})")
    return path


def _stage_of(last: Path) -> str | None:
    """Returns the stage of the run that a last.ckpt is of; None where its folder does not say it."""
    file = last.parent.parent / CONFIG
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    return found.get("stage") if isinstance(found, dict) else None


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Returns whether a run's folder holds checkpoints, which another run would overwrite."""
    checkpoints = Path(folder, LAST.parent)
    return any(file.suffix in (".ckpt", ".previous") for file in checkpoints.glob("*"))


def claim(folder: str) -> str:
    """Creates a new folder and returns its path, with a number appended if another run has that name already."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    free = folder
    for number in count(1):
        try:
            os.mkdir(free)
        except FileExistsError:
            free = f"{folder}_{number}"
        else:
            break
    return free


def resumed_folder(runs: str, name: str, resume: str | None) -> str | None:
    """Returns the folder of the run that another one resumes; None if `resume` is None or there is no such run."""
    if resume:
        # The run itself reports a missing checkpoint in one line; an interpolation can't.
        with suppress(FileNotFoundError):
            path = find(str(resume), os.path.join(runs, name), nested=False).resolve()
            if path.parent.name == LAST.parent.name:
                return str(path.parent.parent)
    return None


def run_folder(runs: str, name: str, resume: str | None) -> str:
    """Returns the folder a run writes to: that of the run it resumes, else one named by the time (see `claim`)."""
    return resumed_folder(runs, name, resume) or os.path.join(runs, name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def identify(folder: Path, is_new: bool, known: str | None = None) -> str:
    """Returns the id of a run: a new one for a new run (replacing the folder's old id), the folder's for a resumed run.

    A resumed run whose folder has no id gets `known`, its id elsewhere, or a new one.
    """
    file = folder / ID
    if not is_new and file.exists():
        return file.read_text(encoding="utf-8").strip()
    name = secrets.token_hex(6) if is_new or known is None else known
    with replacing(file) as part:
        part.write_text(name + "\n", encoding="utf-8")
    return name


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces `file` at the end; on failure nothing is left behind.

    The name is unique, so that several processes may write the same file at once.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Returns the versions of tbe, Python and the libraries that compute the numbers."""
    import pytorch_lightning as pl
    import torch
    import torchvision

    return {
        "tbe": tbe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pytorch_lightning": pl.__version__,
    }


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    with replacing(file) as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=True) + "\n")


def is_complete(file: Path) -> bool:
    """Returns whether a metrics file exists and holds the numbers of all requested tasks."""
    return file.exists() and not json.loads(file.read_text()).get("protocol", {}).get(UNMEASURED)


def overrides_of(folder: Path) -> list[str]:
    """Returns what the command line said of the run whose numbers lie in a folder."""
    own = folder / OVERRIDES
    file = own if own.exists() else folder / ".hydra" / OVERRIDES  # as earlier versions left it
    return list(yaml.safe_load(file.read_text(encoding="utf-8")))


def write_overrides(folder: Path, overrides: Sequence[str]) -> None:
    """Writes what the command line says of the run of a folder."""
    with replacing(folder / OVERRIDES) as part:
        part.write_text(yaml.safe_dump(list(overrides)), encoding="utf-8")


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """Writes the resolved config of a run atomically; returns its file."""
    file = folder / CONFIG
    with replacing(file) as part:
        part.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def table(rows: dict[str, dict[str, float]], title: str, transposed: bool = False) -> None:
    """Prints a table with a column for each of `rows` and a line for each metric; swapped if `transposed`."""
    from rich.console import Console
    from rich.table import Table

    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    names, heads = (list(rows), metrics) if transposed else (metrics, list(rows))
    printed = Table("", title=title, title_justify="left")
    for head in heads:
        printed.add_column(head, justify="right")
    for name in names:
        cells = (rows[name].get(head) if transposed else rows[head].get(name) for head in heads)
        printed.add_row(name, *("" if cell is None else f"{cell:.4g}" for cell in cells))
    console = Console()
    if not console.is_terminal:  # a log file has no width limit
        console = Console(width=max(120, 18 * len(heads) + 60))
    console.print(printed)
