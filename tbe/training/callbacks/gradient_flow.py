"""Records the size of each layer's gradients during training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tbe.errors import UserError
from tbe.training.optim import factor_of_last_step
from tbe.viz.gradient_plot import draw_layers

COLUMNS = ("step", "layer", "mean", "max")


class Row(NamedTuple):
    """A row of gradients.csv."""

    step: int
    layer: str
    mean: float
    max: float


class GradientFlow(pl.Callback):
    """Writes the mean and the largest |gradient| of each layer, every `every` optimizer steps.

    Gradients are those of all processes and micro-batches, before clipping. A layer is a module with parameters of its
    own; weight and bias are taken together. `gradients.csv` in the folder grows by one row per layer; when the run
    ends or stops, `gradients.png` is drawn from it, with layers in network order.
    """

    def __init__(self, folder: str, every: int = 10):
        if every < 1:
            raise UserError(f"gradient_flow.every: expected at least 1, got {every}")
        self.table = Path(folder, "gradients.csv")
        self.every = every

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            # A resumed run repeats the steps after its checkpoint.
            known = [row for row in self._rows() if row.step < trainer.global_step]
            self.table.parent.mkdir(parents=True, exist_ok=True)
            self._write([COLUMNS, *known], "w")

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Optimizer) -> None:
        if trainer.global_step % self.every == 0 and trainer.is_global_zero:
            found = layer_gradients(module)
            sizes = torch.stack([torch.stack(pair) for pair in found.values()])
            # The module comes after its callbacks. This synchronizes with the device once.
            rows = zip(found, (sizes * factor_of_last_step(trainer)).tolist(), strict=True)
            self._write([(trainer.global_step, name, *pair) for name, pair in rows], "a")

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._draw(trainer)

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._draw(trainer)

    def _draw(self, trainer: pl.Trainer) -> None:
        rows = self._rows() if trainer.is_global_zero else []
        if rows:
            draw_layers(rows, self.table.with_suffix(".png"))

    def _rows(self) -> list[Row]:
        if not self.table.exists():
            return []
        with self.table.open(newline="", encoding="utf-8") as table:
            return [
                Row(int(row["step"]), row["layer"], float(row["mean"]), float(row["max"]))
                for row in csv.DictReader(table)
            ]

    def _write(self, rows: list[Any], mode: str) -> None:
        with self.table.open(mode, newline="", encoding="utf-8") as table:
            csv.writer(table).writerows(rows)


def layer_gradients(module: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns the mean and the largest |gradient| of each layer that has gradients, in module order."""
    gradients: dict[str, list[Tensor]] = {}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            layer = name.rpartition(".")[0] or name
            gradients.setdefault(layer, []).append(parameter.grad.detach().flatten().float().abs())
    joined = {layer: torch.cat(parts) for layer, parts in gradients.items()}
    return {layer: (sizes.mean(), sizes.max()) for layer, sizes in joined.items()}
