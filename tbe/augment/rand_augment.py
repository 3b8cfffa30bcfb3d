"""RandAugment: a few of many strong changes for each clip, the same for all its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tbe.augment.color_jitter import Change
from tbe.augment.rand_operations import OPERATIONS
from tbe.errors import UserError

LARGEST = 10.0  # magnitude


@dataclass(frozen=True)
class RandAugment:
    """Changes each clip by `num_ops` of `OPERATIONS`, each with probability `prob`, all its frames alike.

    The strength of each is normal around `magnitude` of 10 with deviation `deviation`, larger ones stronger. Which ones
    is drawn for each clip, their order once a batch. Cubuk et al., NeurIPS 2020 (arXiv:1909.13719); defaults are those
    that VideoMAE finetunes with, but that it may draw an operation twice. Raises UserError for settings outside their
    range.
    """

    num_ops: int = 4
    magnitude: float = 7.0
    deviation: float = 0.5
    prob: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.num_ops <= len(OPERATIONS) or not 0 <= self.magnitude <= LARGEST:
            raise UserError(
                f"RandAugment: expected num_ops from 1 to {len(OPERATIONS)} and magnitude from 0 to {LARGEST:g}, got "
                f"{self.num_ops} and {self.magnitude}"
            )
        if self.deviation < 0 or not 0 <= self.prob <= 1:
            raise UserError(
                f"RandAugment: expected deviation of at least 0 and prob in [0, 1], got {self.deviation}, {self.prob}"
            )

    def draw(self, num_clips: int, device: torch.device) -> list[Change]:
        """Draws the changes of `num_clips` clips, in order; an amount of 0 changes nothing."""
        count = len(OPERATIONS)
        ranks = torch.rand(num_clips, count, device=device).argsort(dim=1).argsort(dim=1)
        is_applied = (ranks < self.num_ops) & (torch.rand(num_clips, count, device=device) < self.prob)
        strengths = self.magnitude + self.deviation * torch.randn(num_clips, count, device=device)
        # Not 0, which is for what is not applied.
        amounts = (strengths / LARGEST).clamp(1e-3, 1) * is_applied
        signs = torch.where(torch.rand(num_clips, count, device=device) < 0.5, -1.0, 1.0)
        changes = []
        # Drawn on the CPU: the order decides what Python calls next, and reading it from a GPU would synchronize.
        for index in torch.randperm(count).tolist():
            operation = OPERATIONS[index]
            amount = operation.extent * amounts[:, index]
            amount = amount * signs[:, index] if operation.is_signed else amount
            changes.append(Change(partial(change_chosen_, operation.change), amount, 0.0))
        return changes


def change_chosen_(change: Callable[[Tensor, Tensor], Tensor], clips: Tensor, amounts: Tensor) -> Tensor:
    """Changes, in place, the clips whose amount is not 0."""
    chosen = amounts != 0
    if clips.device.type != "cpu":  # to know which they are, the host would wait
        return clips.copy_(torch.where(chosen.view(-1, 1, 1, 1, 1), change(clips, amounts), clips))
    for number in chosen.nonzero().flatten().tolist():
        one = slice(number, number + 1)
        clips[one] = change(clips[one], amounts[one])
    return clips
