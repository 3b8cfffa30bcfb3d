"""A moving average of the weights that says when a run is too short for it."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.training.optim import steps_of

log = logging.getLogger(__name__)

FIRST_WEIGHTS = 0.1  # the most of an average that the first weights may be without a word


class EMAWeightAveraging(callbacks.EMAWeightAveraging):
    """Lightning's average, `decay` at each update; warns if at the end of the run it is still the first weights."""

    def __init__(self, decay: float = 0.9999, update_every_n_steps: int = 1, **settings: Any) -> None:
        if not 0 <= decay < 1 or update_every_n_steps < 1:
            raise UserError(
                "callbacks.ema: expected decay in [0, 1) and update_every_n_steps of at least 1, got "
                f"decay={decay} and update_every_n_steps={update_every_n_steps}"
            )
        super().__init__(decay=decay, update_every_n_steps=update_every_n_steps, **settings)
        self.decay = decay

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copies the average to the module also where nothing was left to train, and no training ended."""
        if self._average_model is not None:
            self._copy_average_to_current(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        updates = math.ceil(steps_of(trainer)[0] / self.update_every_n_steps)  # the first is at the first step
        first = self.decay ** max(0, updates - 1)  # which copies the weights
        if first > FIRST_WEIGHTS and rank() == 0:
            log.warning(
                "callbacks.ema: after the %d updates of this run the average, which is measured and kept, is still "
                "%.0f %% what the first step made: expected a decay for so few, such as callbacks.ema.decay=%.3g, got "
                "%g",
                updates,
                100 * first,
                max(0.0, 1 - 10 / max(10, updates)),
                self.decay,
            )
