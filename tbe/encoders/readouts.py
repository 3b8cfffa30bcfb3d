"""Readouts: one vector a clip from an encoder's tokens or summary vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Times = tuple[int, int, int]  # positions of the tokens along T, H and W


def mean(tokens: Tensor) -> Tensor:
    """Returns the mean of tokens (B, N, D) as (B, D)."""
    return tokens.mean(dim=1)


def mean_std(tokens: Tensor) -> Tensor:
    """Returns the mean and the standard deviation of tokens (B, N, D) as (B, 2 D)."""
    return torch.cat([tokens.mean(dim=1), tokens.std(dim=1, correction=0)], dim=1)


def moments(moving: Tensor) -> Tensor:
    """Returns the mean, the standard deviation and the skewness over time of vectors (B, t, D) as (B, 3 D).

    What does not change in time has neither a deviation nor a skewness: both are 0.
    """
    average = moving.mean(dim=1, keepdim=True)
    centered = moving - average
    deviation = centered.square().mean(dim=1).sqrt()
    # Relative to the values: below this a deviation is rounding, whose skewness would be noise.
    noise = 10 * torch.finfo(moving.dtype).eps * moving.abs().amax(dim=1)
    is_still = deviation <= noise
    skewness = centered.pow(3).mean(dim=1) / deviation.masked_fill(is_still, 1).pow(3)
    return torch.cat([average.squeeze(1), deviation.masked_fill(is_still, 0), skewness.masked_fill(is_still, 0)], dim=1)


def over_time(tokens: Tensor, grid: Times) -> Tensor:
    """Returns the means over space (B, t, D) of tokens (B, t * h * w, D)."""
    return tokens.unflatten(1, (grid[0], -1)).mean(dim=2)


OF_TOKENS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean, "mean_std": mean_std}
MOMENTS = "moments"
