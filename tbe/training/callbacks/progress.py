"""Progress bar that rarely synchronizes with the device."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar

INTERVAL = 1.0  # seconds
SPLITS = ("train/", "val/")


class ProgressBar(RichProgressBar):
    """Shows Lightning's rich progress bar with the metrics of training and validation.

    During training, metrics are read at most once per `INTERVAL`, because reading a value makes the host wait for all
    pending work of the device. They are those that were logged, with `prog_bar` or not: Lightning reads each value
    logged with it at every batch, before a bar could decide otherwise.
    """

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self._read: dict[str, Any] = {}
        self._next_reading = 0.0

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        if not trainer.training or time.monotonic() >= self._next_reading:
            known = trainer.callback_metrics
            shown = {name: value.detach() for name, value in known.items() if name.startswith(SPLITS)}
            # One transfer, and so one wait, for all of them.
            values = torch.stack([value.float().reshape(()) for value in shown.values()]).tolist() if shown else []
            self._read = dict(zip(shown, values, strict=True))
            self._next_reading = time.monotonic() + INTERVAL
        return self._read
