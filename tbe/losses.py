"""Losses: what a method compared, as one number."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InfoNCE(nn.Module):
    """Cross-entropy of the positive among all negatives, at a temperature.

    positives (B,) and negatives (B, K) are cosine similarities. van den Oord et al. 2018
    (arXiv:1807.03748); tau 0.07 as in MoCo (He et al., CVPR 2020) and BE.
    """

    def __init__(self, temperature: float = 0.07):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"InfoNCE: expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, positives: Tensor, negatives: Tensor) -> Tensor:
        logits = torch.cat([positives.unsqueeze(1), negatives], dim=1) / self.temperature
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
