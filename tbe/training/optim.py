"""Learning rate schedules, and the optimizer configuration for Lightning."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.training.parameter_groups import DECAYS, SCALE

log = logging.getLogger(__name__)

KERNELS = (
    "fused",
    "foreach",
    "capturable",
    "differentiable",
)  # settings of how an optimizer computes, which its state depends on
MIXED = ("16-mixed", "bf16-mixed")
# (optimizer step, total steps, steps per epoch) -> factor of the learning rate.
Schedule = Callable[[int, int, int], float]


@dataclass(frozen=True)
class Constant:
    """Keeps the learning rate constant."""

    def __call__(self, step: int, total: int, per_epoch: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """Warms up linearly over `warmup_epochs`, then decays along half a cosine to the fraction `final`."""

    warmup_epochs: float = 0.0
    final: float = 0.0

    def __call__(self, step: int, total: int, per_epoch: int) -> float:
        warmup = self.warmup_epochs * per_epoch
        if step < warmup:
            return (step + 1) / (warmup + 1)
        share = min(1.0, (step - warmup) / max(1.0, total - warmup))
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class MultiStep:
    """Multiplies the learning rate by `factor` at each of the given epochs."""

    milestones: tuple[float, ...]
    factor: float = 0.1

    def __call__(self, step: int, total: int, per_epoch: int) -> float:
        return self.factor ** sum(step >= milestone * per_epoch for milestone in self.milestones)


def configure(
    trainer: pl.Trainer,
    network: nn.Module,
    optimizer: Callable[..., Optimizer],
    schedule: Schedule,
) -> dict[str, Any]:
    """Returns the result of `configure_optimizers`: an optimizer of the trainable parameters, scheduled per step.

    network: with a `backbone`, by whose layers an optimizer such as GroupedAdamW may group them.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = getattr(optimizer, "groups", None)
    given = trainable if groups is None else groups(network, network.backbone)
    built = fused_on_gpus(optimizer, trainable, trainer)(given)
    total, per_epoch = steps_of(trainer)
    if (warmup := getattr(schedule, "warmup_epochs", 0)) * per_epoch >= total and rank() == 0:
        log.warning(
            "scheduler.warmup_epochs=%g: expected fewer than the %g epochs of this run, got a warm-up in which the "
            "learning rate never reaches optimizer.lr",
            warmup,
            total / per_epoch,
        )
    scheduler = ConfiguredLR(built, lambda step: schedule(step, total, per_epoch))
    return {"optimizer": built, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def steps_of(trainer: pl.Trainer) -> tuple[int, int]:
    """Returns the optimizer steps of a run, which its epochs or trainer.max_steps end, and those of an epoch."""
    # Not trainer.estimated_stepping_batches: it starts the loader before a resumed run restores its position.
    batches = trainer.datamodule.training_batches()  # type: ignore[attr-defined]  # not declared by Lightning
    per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    epochs = trainer.max_epochs
    of_epochs = math.inf if epochs == -1 and trainer.max_steps > 0 else max(1, epochs or 1) * per_epoch
    return int(min(of_epochs, trainer.max_steps if trainer.max_steps > 0 else math.inf)), per_epoch


@torch.no_grad()
def average_last_step(trainer: pl.Trainer, optimizer: Optimizer) -> None:
    """Brings the gradients of an epoch's last step to the mean of its batches, where these are fewer than `accumulate`.

    Lightning divides each by the number of a whole step. To be called before a step, with gradients of their own scale.
    """
    factor = factor_of_last_step(trainer)
    if factor == 1:
        return
    gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
    if kept := [gradient for gradient in gradients if gradient is not None]:
        torch._foreach_mul_(kept, factor)


def factor_of_last_step(trainer: pl.Trainer) -> float:
    """Returns by what the gradients of this step are too small: of how many batches they should be, by how many."""
    whole = trainer.accumulate_grad_batches
    there = (trainer.fit_loop.epoch_loop.batch_idx + 1) % whole
    return whole / there if there else 1.0


class ConfiguredLR(LambdaLR):
    """A schedule that resumes at the step of a checkpoint, with the optimizer settings of the config.

    torch takes rate, decay and momentum from the checkpoint. Where nothing changed these are the same, to the last bit.
    Lightning restores the optimizer before its schedule.
    """

    def __init__(self, optimizer: Optimizer, *settings: Any) -> None:
        # Of the config: the optimizer takes those of the checkpoint, before its schedule is restored.
        self.scales = [group.get(SCALE, 1.0) for group in optimizer.param_groups]
        super().__init__(optimizer, *settings)

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().state_dict().items() if name != "scales"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        defaults = self.optimizer.defaults
        super().load_state_dict(state_dict)
        self.base_lrs = [defaults["lr"] * scale for scale in self.scales]
        rates = [rate * at(self.last_epoch) for rate, at in zip(self.base_lrs, self.lr_lambdas, strict=True)]
        settings = {name: value for name, value in defaults.items() if name not in KERNELS}
        for number, group in enumerate(self.optimizer.param_groups):
            group.update({name: value for name, value in settings.items() if name in group})
            if not group.get(DECAYS, True):
                group["weight_decay"] = 0.0
            group.update(initial_lr=self.base_lrs[number], lr=rates[number])
            if SCALE in group:
                group[SCALE] = self.scales[number]
        self._last_lr = rates
        _lay_out_like_parameters(self.optimizer)


def _lay_out_like_parameters(optimizer: Optimizer) -> None:
    """Gives moments the memory format of their parameters, which a fused optimizer takes for granted.

    Those of a checkpoint have that of another run, as where one went on a CPU and goes on on a GPU.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def fused_on_gpus(
    optimizer: Callable[..., Optimizer], parameters: list[nn.Parameter], trainer: pl.Trainer
) -> Callable[[list[nn.Parameter]], Optimizer]:
    """Returns the optimizer with `fused` set, if its config leaves that open and all parameters are on a GPU.

    Not with 16-mixed: a fused optimizer unscales gradients itself, after they were clipped or inspected. For that
    reason Lightning refuses to clip for one in any mixed precision, bf16-mixed included: not fused then either, and a
    UserError where its config asks for both.
    """
    precision, clips = trainer.precision, (trainer.gradient_clip_val or 0) > 0
    asked = getattr(optimizer, "keywords", {}).get("fused", False)
    if asked and clips and precision in MIXED:
        raise UserError(
            f"optimizer.fused: expected null or false with trainer.gradient_clip_val and precision={precision}, got "
            "true: a fused optimizer scales gradients back itself, after they were clipped. Set optimizer.fused=null"
        )
    if asked is not None:
        return optimizer
    on_gpus = all(parameter.is_cuda for parameter in parameters)
    is_free = precision != "16-mixed" and not (clips and precision in MIXED)
    return partial(optimizer, fused=True) if on_gpus and is_free else optimizer
