"""Saves a resumable checkpoint at Ctrl-C and at preemption signals, then ends the run."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Interrupted(Exception):
    """The run was asked to stop; the message is the checkpoint to resume from.

    is_preemption: whether a scheduler, rather than a user at the keyboard, asked.
    """

    def __init__(self, checkpoint: str, is_preemption: bool = False):
        super().__init__(checkpoint)
        self.is_preemption = is_preemption


class SaveOnInterrupt(pl.Callback):
    """Finishes the optimizer step, writes last.ckpt and raises `Interrupted` at the first Ctrl-C, SIGTERM or SIGUSR1.

    After a whole step, weights, moving averages, queue and counters are consistent and no gradients are pending.
    Checkpoints hold no gradients, so one saved within an accumulated step causes a warning. A second Ctrl-C stops at
    once. Several processes agree to stop at every `every`-th batch, so that none waits for one that has left.
    """

    def __init__(self, folder: str, every: int = 20):
        self.path = Path(folder, "last.ckpt")
        self.every = every
        self.asked: int | None = None  # the signal received
        self.leaving = False
        self.warned = False
        self.signals = _Signals()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.asked, self.leaving = None, False
        self.signals.handle(self._ask)
        # Lightning 2.6 asks in every batch whether the first process got SIGTERM, and waits for the device twice to
        # know. It would never hear of one: the signals come to this callback, which agrees on them itself.
        loop: Any = trainer.fit_loop.epoch_loop
        if hasattr(loop, "_broadcast_sigterm_tensor"):
            loop._broadcast_sigterm_tensor = lambda: None

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not _is_whole_step(trainer):
            return
        first = (
            batch_idx // trainer.accumulate_grad_batches * trainer.accumulate_grad_batches
        )  # first batch of this step
        if trainer.world_size > 1 and batch_idx // self.every * self.every < first:
            return
        if self._someone_asked(trainer):
            trainer.save_checkpoint(self.path)
            self.leaving = True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.leaving:  # the previous batch has been logged by now
            self._leave()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if not _is_whole_step(trainer) and not self.warned:
            self.warned = True
            log.warning(
                "saved a checkpoint within a step of %d batches, at step %d: a run that resumes from it loses the "
                "gradients so far. Checkpoints at the end of an epoch or of an interrupted run are complete",
                trainer.accumulate_grad_batches,
                trainer.global_step,
            )

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.signals.restore()
        if self._someone_asked(trainer):  # during the last step, or the validation after it
            self._leave()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self.signals.restore()

    def _someone_asked(self, trainer: pl.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False)

    def _leave(self) -> None:
        # A scheduler signals all processes, Ctrl-C only the first.
        raise Interrupted(str(self.path), is_preemption=self.asked not in (None, signal.SIGINT))

    def _ask(self, number: int) -> None:
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number
        log.warning("stopping after this step and saving %s (Ctrl-C again to stop at once)", self.path)


class LeaveOnInterrupt(pl.Callback):
    """Raises `Interrupted` at once for the same signals outside of training; a second Ctrl-C stops immediately.

    Training has been saved or has not started by then, and measurements can be repeated. A scheduler signals all
    processes.
    """

    def __init__(self, checkpoint: Path):
        self.checkpoint = checkpoint
        self.leaving = False
        self.signals = _Signals()

    def __enter__(self) -> LeaveOnInterrupt:
        self.signals.handle(self._leave)
        return self

    def __exit__(self, *error: object) -> None:
        self.signals.restore()

    def on_predict_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Lightning's handler, which it restores at the end, would communicate between processes within a signal.
        _Signals().handle(self._leave)

    def _leave(self, number: int) -> None:
        if self.leaving and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.leaving:  # a repeated signal would end the run before it is requeued
            return
        self.leaving = True
        raise Interrupted(str(self.checkpoint), is_preemption=number != signal.SIGINT)


class _Signals:
    """Installs and restores the signal handlers of this process."""

    def __init__(self) -> None:
        self.previous: dict[int, Any] = {}

    def handle(self, handler: Callable[[int], None]) -> None:
        process = os.getpid()

        def mine(number: int, frame: Any) -> None:
            if os.getpid() == process:  # not in loader workers, which the terminal signals too
                handler(number)

        for number in SIGNALS:
            try:
                self.previous[number] = signal.signal(number, mine)
            except ValueError:  # not the main thread, which is the only one to receive signals
                log.debug("no signal handler outside the main thread")

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}


def _is_whole_step(trainer: pl.Trainer) -> bool:
    """Returns whether no accumulated step is in progress, so that the optimizer has used all gradients."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return batches % trainer.accumulate_grad_batches == 0 or batches >= trainer.num_training_batches
