"""SIGReg: how far embeddings are from an isotropic normal distribution, judged by random one-dimensional slices."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.distributed import broadcast_from_rank0, gather_with_gradient, world_size
from tbe.errors import UserError
from tbe.methods.float32_products import float32_products


class SIGReg(nn.Module):
    """Computes the mean Epps-Pulley statistic of embeddings over `num_slices` random directions.

    Directions are drawn anew at each call, the same on all processes. 0 for a perfect fit; independent samples of the
    normal distribution have `expected_under_the_normal` on average, whatever their number, and embeddings that are all
    equal a multiple of that number. Balestriero and LeCun 2025 (arXiv:2511.08544), who take 17 frequencies from -5 to
    5; ours are 17 from 0 to 5, for the statistic is the same on both sides, and so twice as dense.
    """

    frequencies: Tensor
    weights: Tensor

    def __init__(self, num_slices: int = 1024, num_frequencies: int = 17, largest: float = 5.0):
        super().__init__()
        if num_slices < 1 or num_frequencies < 2 or largest <= 0:
            raise UserError(
                "SIGReg: expected at least 1 slice, 2 frequencies and a largest frequency above 0, got "
                f"num_slices={num_slices}, num_frequencies={num_frequencies}, largest={largest}"
            )
        self.num_slices = num_slices
        frequencies = torch.linspace(0, largest, num_frequencies)
        # Buffers, so that no step copies them to the device; not persistent, because they are settings.
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("weights", _trapezoids(frequencies) * torch.exp(-(frequencies**2) / 2), persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Returns the mean statistic, a scalar, of embeddings (views, B, D): of each view, over all processes."""
        slices = torch.randn(embeddings.shape[-1], self.num_slices, device=embeddings.device, dtype=embeddings.dtype)
        broadcast_from_rank0([slices])
        with float32_products(embeddings.device):
            projected = embeddings @ F.normalize(slices, dim=0)  # (views, B, slices)
        return self.statistic(projected).mean()

    def statistic(self, samples: Tensor) -> Tensor:
        """Returns Epps and Pulley's statistic (..., n) of samples (..., B, n) against the standard normal distribution.

        B, of all processes, times the integral of |their characteristic function - exp(-t^2 / 2)|^2 exp(-t^2 / 2) over
        all t: the mean exp(itx) of the samples is compared at the frequencies from 0, and counts twice for -t.
        Epps and Pulley, Biometrika 1983.
        """
        angles = samples.unsqueeze(-1) * self.frequencies
        parts = torch.stack([angles.cos().mean(dim=-3), angles.sin().mean(dim=-3)])  # (2, ..., n, frequencies)
        real, imaginary = gather_with_gradient(parts.unsqueeze(0)).mean(dim=0)
        distances = (real - torch.exp(-(self.frequencies**2) / 2)).square() + imaginary.square()
        return samples.shape[-2] * world_size() * (distances * self.weights).sum(dim=-1)


def expected_under_the_normal() -> float:
    """Returns the expectation of the statistic for samples of the standard normal distribution, of any number."""
    return math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))


def _trapezoids(points: Tensor) -> Tensor:
    """Returns the weights of values at ascending points from 0 on, whose sum is the integral on both sides of 0."""
    gaps = points.diff()
    return F.pad(gaps, (0, 1)) + F.pad(gaps, (1, 0))
