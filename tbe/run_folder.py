"""The folder of a run, made before the run begins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


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
