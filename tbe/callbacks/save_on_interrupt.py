"""Ctrl-C, and the signals of a preemption, end a run where it can be continued."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Interrupted(Exception):
    """The run was asked to stop; the checkpoint it can be resumed from is the message.

    is_preemption: whether a scheduler asked, not a user at the keyboard.
    """

    def __init__(self, checkpoint: str, is_preemption: bool = False):
        super().__init__(checkpoint)
        self.is_preemption = is_preemption


class SaveOnInterrupt(pl.Callback):
    """At the first Ctrl-C, SIGTERM or SIGUSR1, finishes the batch, writes last.ckpt and raises `Interrupted`.

    Only between batches are weights, moving averages, queue and counters of one moment. A second Ctrl-C stops
    at once. Several processes agree every `every` batches, so that none waits for one that left.
    """

    def __init__(self, folder: str, every: int = 20):
        self.path = Path(folder, "last.ckpt")
        self.every = every
        self.asked: int | None = None  # the signal
        self.leaving = False
        self.process = os.getpid()
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.asked, self.leaving, self.process = None, False, os.getpid()
        for number in SIGNALS:
            try:
                self.previous[number] = signal.signal(number, self._ask)
            except ValueError:  # not in the main thread, where nobody sends signals either
                log.debug("no signal handler outside the main thread")

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size > 1 and batch_idx % self.every:
            return
        if trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False):
            trainer.save_checkpoint(self.path)
            self.leaving = True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.leaving:  # only now has the batch before been logged
            # Of several processes all are asked by a scheduler, but the first alone by Ctrl-C.
            raise Interrupted(str(self.path), is_preemption=self.asked not in (None, signal.SIGINT))

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _ask(self, number: int, frame: Any) -> None:
        if os.getpid() != self.process:  # a loader's worker, which the terminal signals too: the run decides
            return
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number
        log.warning("stopping after this batch and saving %s (Ctrl-C again to stop at once)", self.path)

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}
