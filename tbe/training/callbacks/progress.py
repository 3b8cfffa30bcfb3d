"""Progress bar that rarely synchronizes with the device."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

INTERVAL = 1.0  # seconds


class ProgressBar(RichProgressBar):
    """Shows Lightning's rich progress bar with metrics only, without the run's version number.

    During training, metrics are read at most once per `INTERVAL`, because reading a value makes the host wait for all
    pending work of the device.
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
