"""Where runs and their checkpoints lie, and how a name on the command line finds them."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tbe.errors import MissingFile

LAST = Path("checkpoints", "last.ckpt")


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


def run_folder(runs: str, name: str, resume: str | None) -> str:
    """Where a run writes: the folder of the run that it resumes, else a new one named by the time."""
    if resume:
        # Where there is no such checkpoint the run that starts says so, in one line; an interpolation can't.
        with suppress(FileNotFoundError):
            path = find(str(resume), os.path.join(runs, name), nested=False).resolve()
            if path.parent.name == "checkpoints":
                return str(path.parent.parent)
    return os.path.join(runs, name, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
