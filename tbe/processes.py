"""Processes that Lightning starts beside this one: they run the configs that the first one wrote.

Lightning starts them with this process's command line. Read again, that would compose a config of its own: another
time in the folder's name, another 'latest', under multirun the whole sweep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "TBE_CONFIGS"
PLACED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def given_files() -> list[Path]:
    """The config files to run where this process was started by another one; none where a user started it."""
    if "LOCAL_RANK" not in os.environ or VARIABLE not in os.environ:
        return []
    return [Path(file) for file in os.environ[VARIABLE].split(os.pathsep)]


@contextmanager
def handing_on(files: list[Path]) -> Iterator[None]:
    """Names the config files to processes started meanwhile; afterwards the next job can start its own."""
    if VARIABLE in os.environ:
        yield
        return
    placed_before = {name for name in PLACED if name in os.environ}
    os.environ[VARIABLE] = os.pathsep.join(str(file) for file in files)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if not placed_before:
            _forget_processes()


def _forget_processes() -> None:
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    for name in PLACED:
        os.environ.pop(name, None)
