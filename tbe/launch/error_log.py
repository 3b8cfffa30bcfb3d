"""Writes the tracebacks of a run to a file in its folder."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import traceback
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tbe-video", "torch", "torchvision", "pytorch-lightning", "hydra-core", "numpy", "av")
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")  # of torchrun, SLURM and Lightning


def write_error(folder: str | os.PathLike, error: BaseException) -> Path | None:
    """Appends an error's traceback to `error.log` in a run's folder, with the time, the versions and the command.

    Returns the file: of several processes each but the first has its own, `error_rank<number>.log`. None where it can't
    be written, as on a full disk: whoever calls this prints the traceback then.
    """
    rank = _rank()
    file = Path(folder, f"error_rank{rank}.log" if rank else "error.log")
    moment = datetime.now().astimezone().isoformat(timespec="seconds")
    told = "".join(traceback.format_exception(error))
    try:
        text = f"# {moment}  {_versions()}\n# {shlex.join(sys.orig_argv)}  (in {os.getcwd()})\n{told}\n"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as out:
            out.write(text.encode("utf-8", errors="backslashreplace"))
    except OSError:
        return None
    return file


def _versions() -> str:
    """Returns the versions of Python and of PACKAGES, without importing them: an import may be what failed."""
    found = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # run from a checkout, or the reason of the error
            continue
    return ", ".join(found)


def _rank() -> int:
    """Returns the rank of this process, also before the processes are connected."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name, "").isdigit()), 0)
