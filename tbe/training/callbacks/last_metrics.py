"""Keeps the last metrics of a run across resumes."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

KEY = "metrics"  # the key in a checkpoint


class LastMetrics(pl.Callback):
    """Saves the last value of each metric in checkpoints, so that a resumed run also reports earlier ones.

    Otherwise a run that was stopped after its last epoch or validation would lose them.
    """

    def __init__(self) -> None:
        self.before: dict[str, float] = {}

    def of(self, trainer: pl.Trainer) -> dict[str, float]:
        """Returns the last value of each metric, whenever it was logged."""
        return self.before | {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self.of(trainer)

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.before = checkpoint.get(KEY, {})
