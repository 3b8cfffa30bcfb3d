"""The progress bar."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

INTERVAL = 1.0  # seconds


class ProgressBar(RichProgressBar):
    """Lightning's rich progress bar with the metrics alone: the run's folder names the run.

    In training they are read at most once in `INTERVAL`: to read a number, the host waits for all that the device has
    still to do.
    """

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self._read: dict[str, Any] = {}
        self._next_reading = 0.0

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        if not trainer.training or time.monotonic() >= self._next_reading:
            metrics = super().get_metrics(trainer, module)
            self._read = {name: value for name, value in metrics.items() if name != "v_num"}
            self._next_reading = time.monotonic() + INTERVAL
        return self._read
