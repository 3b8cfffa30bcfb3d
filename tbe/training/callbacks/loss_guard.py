"""Detects losses that are not finite or far too large and records the batch that caused them."""

from __future__ import annotations

import json
import logging
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from tbe.errors import UserError

POLICIES = ("stop", "skip")
MAX_OPEN = 2  # losses that may still be on their way to the host
MAX_SKIPPED = 10  # consecutive steps

log = logging.getLogger(__name__)


class LossExploded(UserError):
    """The run cannot continue; the message names the step and the file that describes the batch."""


class _Seen(NamedTuple):
    """A loss, available on the host once `copied` has completed, and where it came from."""

    loss: Tensor
    copied: torch.cuda.Event | None
    batch: dict[str, Any]
    epoch: int
    step: int


def _named(batch: dict[str, Any]) -> dict[str, Any]:
    """Returns what names the videos of a batch, without its views, which would occupy the device's memory."""
    return {name: batch[name] for name in ("index", "frames") if name in batch}


def _as_logged(trainer: pl.Trainer, loss: Tensor, scale: float = 1.0) -> Tensor:
    """Returns a batch's own loss, of one that was divided by the batches of a step and multiplied by `scale`."""
    return loss.detach() / scale * trainer.accumulate_grad_batches


def _scale_of(trainer: pl.Trainer) -> float:
    """Returns by what float16 training multiplies losses before the backward pass, so that gradients do not vanish."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else scaler.get_scale()


class FiniteLoss(pl.Callback):
    """Stops a run at a loss that is not finite or exceeds `limit` ('stop'), or skips that step ('skip').

    The batch is described in `bad_batch.json` in the folder (`bad_batch_<process>.json` for other processes): paths,
    indices and frames of its videos, and its random seeds. 'stop' does not synchronize with the device: each loss is
    checked at most two steps later, and on all processes before a checkpoint is written; weights that are not finite
    are never saved. 'skip' synchronizes at each step, restores the buffers that the batch changed (queue, running
    statistics), and raises LossExploded after ten skipped steps in a row; all processes skip a step together.
    """

    def __init__(self, folder: str, policy: str = "stop", limit: float = 1e4):
        if policy not in POLICIES:
            raise UserError(f"callbacks.finite_loss.policy: expected one of {', '.join(POLICIES)}, got {policy!r}")
        self.folder = Path(folder)
        self.policy = policy
        self.limit = limit
        self.open: deque[_Seen] = deque()
        self.saved: list[Tensor] = []  # buffers before the step
        self.is_bad = False  # of the optimizer's step
        self.is_poisoned = False  # of the batch
        self.num_skipped = 0

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.policy == "skip":
            self.is_bad &= batch_idx % trainer.accumulate_grad_batches > 0  # reset at each optimizer step
            self.batch = _named(batch)
            self.saved = [buffer.clone() for buffer in module.buffers()]
        self._look(trainer, len(self.open) >= MAX_OPEN)

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: Tensor) -> None:
        if self.policy == "stop":
            return
        loss = _as_logged(trainer, loss, _scale_of(trainer))
        is_bad = self._is_bad(loss)
        if is_bad:
            self._write(trainer, _Seen(loss, None, self.batch, trainer.current_epoch, trainer.global_step))
        if trainer.strategy.reduce_boolean_decision(is_bad, all=False):
            self.is_bad = self.is_poisoned = True

    @torch.no_grad()
    def on_after_backward(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.is_poisoned:  # the backward pass no longer needs the buffers
            for buffer, before in zip(module.buffers(), self.saved, strict=True):
                buffer.copy_(before)
            self.is_poisoned = False

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        if not self.is_bad:
            self.num_skipped = 0
            return
        self.num_skipped += 1
        if self.num_skipped > MAX_SKIPPED:
            where = self._where(trainer.current_epoch, trainer.global_step, "bad_batch*.json")
            raise LossExploded(f"{where}, the last of {self.num_skipped} in a row: training makes no progress")
        module.zero_grad(set_to_none=True)  # so that the optimizer keeps weights and moments
        where = self._where(trainer.current_epoch, trainer.global_step, "bad_batch*.json")
        log.warning("skipped a step: %s", where)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.policy == "skip":
            return
        loss = _as_logged(trainer, outputs["loss"] if isinstance(outputs, dict) else outputs)
        copied = None
        if loss.is_cuda:
            loss, copied = loss.to("cpu", non_blocking=True), torch.cuda.Event()
            copied.record()
        self.open.append(_Seen(loss, copied, _named(batch), trainer.current_epoch, trainer.global_step))
        self._look(trainer, wait=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._look(trainer, wait=True)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer, wait=True)
        trainer.strategy.barrier()  # a process with a bad loss does not reach it
        wrong = [name for name, weight in module.named_parameters() if not weight.isfinite().all()]
        if wrong:
            raise LossExploded(
                f"expected finite weights, got nan or inf in {len(wrong)} tensors, the first of them {wrong[0]}, in "
                f"epoch {trainer.current_epoch} at step {trainer.global_step}: not saved. Continue from the last "
                "checkpoint, which is intact"
            )

    def _look(self, trainer: pl.Trainer, wait: bool) -> None:
        while self.open and (wait or self.open[0].copied is None or self.open[0].copied.query()):
            seen = self.open.popleft()
            if seen.copied is not None:
                seen.copied.synchronize()
            if self._is_bad(seen.loss):
                self.open.clear()
                note = self._write(trainer, seen)
                raise LossExploded(
                    f"{self._where(seen.epoch, seen.step, note)}. The last checkpoint is from before it: resume with "
                    "another precision or learning rate, or callbacks.finite_loss.policy=skip"
                )

    def _is_bad(self, loss: Tensor) -> bool:
        return not bool(loss.detach().abs() <= self.limit)  # nan compares false

    def _where(self, epoch: int, step: int, note: str) -> str:
        return (
            f"expected a finite loss of at most {self.limit:g}, got another one in epoch {epoch} at step {step} "
            f"({self.folder / note} names the videos)"
        )

    def _write(self, trainer: pl.Trainer, seen: _Seen) -> str:
        """Writes the description of the batch; returns the name of the file."""
        videos = trainer.train_dataloader.dataset
        index = seen.batch["index"].tolist()
        frames = seen.batch["frames"].tolist() if "frames" in seen.batch else [None] * len(index)
        seed = trainer.datamodule.seed  # type: ignore[attr-defined]  # not declared by Lightning
        content = {
            "loss": str(float(seen.loss)),
            "epoch": seen.epoch,
            "step": seen.step,
            "process": trainer.global_rank,
            "policy": self.policy,
            "seeds": {"run": seed, "epoch": seen.epoch, "first_index": index[0]},
            "videos": [
                {"index": number, "path": videos.path(number), "frames": shown}
                for number, shown in zip(index, frames, strict=True)
            ],
        }
        name = "bad_batch.json" if trainer.global_rank == 0 else f"bad_batch_{trainer.global_rank}.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return name
