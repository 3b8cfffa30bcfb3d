"""Ctrl-C and SIGTERM end a run where it can be continued."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The run was asked to stop; the checkpoint it can be resumed from is the message."""


class SaveOnInterrupt(pl.Callback):
    """At the first Ctrl-C or SIGTERM, finishes the batch, writes last.ckpt and raises `Interrupted`.

    Only between batches are weights, moving averages, queue and counters of one moment. A second Ctrl-C stops
    at once. Several processes agree every `every` batches, so that none waits for one that left.
    """

    def __init__(self, folder: str, every: int = 20):
        self.path = Path(folder, "last.ckpt")
        self.every = every
        self.asked = False
        self.leaving = False
        self.process = os.getpid()
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.asked, self.leaving, self.process = False, False, os.getpid()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.previous[number] = signal.signal(number, self._ask)
            except ValueError:  # not in the main thread, where nobody sends signals either
                log.debug("no signal handler outside the main thread")

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size > 1 and batch_idx % self.every:
            return
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            trainer.save_checkpoint(self.path)
            self.leaving = True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.leaving:  # only now has the batch before been logged
            raise Interrupted(str(self.path))

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _ask(self, number: int, frame: Any) -> None:
        if os.getpid() != self.process:  # a loader's worker, which the terminal signals too: the run decides
            return
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        log.warning("stopping after this batch and saving %s (Ctrl-C again to stop at once)", self.path)

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
