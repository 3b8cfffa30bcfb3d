"""Ctrl-C, and the signals of a preemption, end a run where it can be continued."""

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
    """The run was asked to stop; the checkpoint it can be resumed from is the message.

    is_preemption: whether a scheduler asked, not a user at the keyboard.
    """

    def __init__(self, checkpoint: str, is_preemption: bool = False):
        super().__init__(checkpoint)
        self.is_preemption = is_preemption


class SaveOnInterrupt(pl.Callback):
    """At the first Ctrl-C, SIGTERM or SIGUSR1, ends the optimizer's step, writes last.ckpt and raises `Interrupted`.

    Only then are weights, moving averages, queue and counters of one moment, and no gradients are left: a checkpoint
    has none, so one within an accumulated step is warned of. A second Ctrl-C stops at once. Several processes agree in
    the step of every `every`-th batch, so that none waits for one that left.
    """

    def __init__(self, folder: str, every: int = 20):
        self.path = Path(folder, "last.ckpt")
        self.every = every
        self.asked: int | None = None  # the signal
        self.leaving = False
        self.warned = False
        self.signals = _Signals()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.asked, self.leaving = None, False
        self.signals.handle(self._ask)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not _is_whole_step(trainer):
            return
        first = batch_idx // trainer.accumulate_grad_batches * trainer.accumulate_grad_batches  # of this step
        if trainer.world_size > 1 and batch_idx // self.every * self.every < first:
            return
        if self._someone_asked(trainer):
            trainer.save_checkpoint(self.path)
            self.leaving = True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.leaving:  # only now has the batch before been logged
            self._leave()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if not _is_whole_step(trainer) and not self.warned:
            self.warned = True
            log.warning(
                "a checkpoint within a step of %d batches, at step %d: a run that goes on from it has the gradient of "
                "the others alone. Those at the end of an epoch and of an interrupted run are whole",
                trainer.accumulate_grad_batches,
                trainer.global_step,
            )

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.signals.restore()
        if self._someone_asked(trainer):  # in the last step, or in the validation after it
            self._leave()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self.signals.restore()

    def _someone_asked(self, trainer: pl.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False)

    def _leave(self) -> None:
        # Of several processes all are asked by a scheduler, but the first alone by Ctrl-C.
        raise Interrupted(str(self.path), is_preemption=self.asked not in (None, signal.SIGINT))

    def _ask(self, number: int) -> None:
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number
        log.warning("stopping after this step and saving %s (Ctrl-C again to stop at once)", self.path)


class LeaveOnInterrupt(pl.Callback):
    """Around what a run does beside training: the same signals raise `Interrupted` at once, a second Ctrl-C as ever.

    Training is saved by then, or has not begun, and what was measured can be measured again. A signal of a scheduler
    comes to all processes.
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
        # Lightning's handler, which it puts back at the end, would have all processes answer from within a signal.
        _Signals().handle(self._leave)

    def _leave(self, number: int) -> None:
        if self.leaving and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.leaving:  # a scheduler that repeats itself would end the run before it is back in the queue
            return
        self.leaving = True
        raise Interrupted(str(self.checkpoint), is_preemption=number != signal.SIGINT)


class _Signals:
    """What this process does at the signals, until they are restored."""

    def __init__(self) -> None:
        self.previous: dict[int, Any] = {}

    def handle(self, handler: Callable[[int], None]) -> None:
        process = os.getpid()

        def mine(number: int, frame: Any) -> None:
            if os.getpid() == process:  # not in a loader's worker, which the terminal signals too: the run decides
                handler(number)

        for number in SIGNALS:
            try:
                self.previous[number] = signal.signal(number, mine)
            except ValueError:  # not in the main thread, where nobody sends signals either
                log.debug("no signal handler outside the main thread")

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}


def _is_whole_step(trainer: pl.Trainer) -> bool:
    """Whether the optimizer has used all gradients: no step of several batches is under way."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return batches % trainer.accumulate_grad_batches == 0 or batches >= trainer.num_training_batches
