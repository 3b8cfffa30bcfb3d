"""The numbers of a run that goes on where nothing is left to be done for them."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

KEY = "metrics"  # of a checkpoint


class LastMetrics(pl.Callback):
    """Carries the last value of each metric in checkpoints, so that a resumed run ends with those of before too.

    Without it one that was stopped after its last epoch, or after its last validation, would not know them.
    """

    def __init__(self) -> None:
        self.before: dict[str, float] = {}

    def of(self, trainer: pl.Trainer) -> dict[str, float]:
        """The last value of each metric, whenever it was logged."""
        return self.before | {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self.of(trainer)

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.before = checkpoint.get(KEY, {})
