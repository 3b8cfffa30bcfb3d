"""A loss that is nan in chosen steps, for the runs of `benchmarks/faults/run.py`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tbe.methods.losses import InfoNCE


class ExplodingLoss(nn.Module):
    """Computes InfoNCE, but returns nan in the steps `at` of this process, counted from 1."""

    def __init__(self, temperature: float, at: Sequence[int]):
        super().__init__()
        self.loss = InfoNCE(temperature)
        self.at = set(at)
        self.step = 0

    def forward(self, positives: Tensor, negatives: Tensor) -> Tensor:
        self.step += 1
        return self.loss(positives, negatives) * (float("nan") if self.step in self.at else 1.0)
