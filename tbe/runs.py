"""Where runs and their checkpoints lie, how a name on the command line finds them, and what a run leaves behind."""

from __future__ import annotations

import json
import os
import platform
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import tbe
from tbe.errors import MissingFile

LAST = Path("checkpoints", "last.ckpt")
ID = "run_id"  # the file that says which run a folder holds, wherever it is moved

CONFIG, METRICS = "config.yaml", "metrics.json"  # in a run's folder
UNMEASURED = "unmeasured"  # in the protocol of the metrics: the tasks whose numbers are missing, with the reason


def find(name: str, runs: str | os.PathLike, nested: bool = True) -> Path:
    """The file meant by a path, a run's folder, a name's folder (its newest run), or 'latest': the newest below `runs`.

    Without `nested` only those of runs directly in `runs` count, not of runs that followed them (`then`).
    """
    if name == "latest":
        pattern = f"**/{LAST}" if nested else f"*/{LAST}"
        found = sorted(Path(runs).glob(pattern), key=lambda path: path.stat().st_mtime)
        if not found:
            raise MissingFile(f"checkpoint=latest: expected a run with {LAST} below {runs}, found none")
        return found[-1]
    path = Path(name)
    if path.is_dir():
        newest = max(path.glob(f"*/{LAST}"), key=lambda file: file.stat().st_mtime, default=path / LAST)
        path = path / LAST if (path / LAST).is_file() else newest
    if not path.is_file():
        raise MissingFile(f"checkpoint: expected a file, a run's folder or 'latest', got {name!r} (no {path})")
    return path


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Whether there is something in a run's folder that another run would replace."""
    checkpoints = Path(folder, LAST.parent)
    return any(file.suffix in (".ckpt", ".previous") for file in checkpoints.glob("*"))


def claim(folder: str) -> str:
    """Makes a new folder and returns its path, with a number behind the name where another run has that already."""
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
    """The folder of the run that another one resumes; None where none is meant, or none is there."""
    if resume:
        # Where there is no such checkpoint the run that starts says so, in one line; an interpolation can't.
        with suppress(FileNotFoundError):
            path = find(str(resume), os.path.join(runs, name), nested=False).resolve()
            if path.parent.name == LAST.parent.name:
                return str(path.parent.parent)
    return None


def run_folder(runs: str, name: str, resume: str | None) -> str:
    """Where a run writes: the folder of the run that it resumes, else one named by the time, which `claim` makes."""
    return resumed_folder(runs, name, resume) or os.path.join(runs, name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def identify(folder: Path, is_new: bool, known: str | None = None) -> str:
    """Gives a new run an id of its own, in place of that of a run that lay there; one that goes on keeps its own.

    The latter gets the id under which it is `known` elsewhere, or a new one, where its folder does not say it.
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
    """Yields the path of a new file beside `file`, which takes its place at the end; what fails leaves nothing.

    Its name is unique, so that several processes may write the same file at once.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
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
    """Writes a file that is whole or absent."""
    with replacing(file) as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=True) + "\n")


def is_complete(file: Path) -> bool:
    """Whether there is a file of metrics in which nothing that was asked for is missing."""
    return file.exists() and not json.loads(file.read_text()).get("protocol", {}).get(UNMEASURED)


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """Writes the resolved config of a run, whole or not at all."""
    file = folder / CONFIG
    with replacing(file) as part:
        part.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


def table(rows: dict[str, dict[str, float]], title: str, transposed: bool = False) -> None:
    """Prints one column for each of `rows` and one line a metric; transposed, the other way round."""
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
    if not console.is_terminal:  # a log file has no width to fit into
        console = Console(width=max(120, 18 * len(heads) + 60))
    console.print(printed)
