"""Losses on the embeddings of several views: they pull those of a video together and keep all from being alike."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.distributed import gather_with_gradient, world_size
from tbe.errors import UserError
from tbe.methods.float32_products import float32_products
from tbe.methods.sigreg import SIGReg


class VICRegLoss(nn.Module):
    """Sums three terms: views alike, each dimension spread out, and no two dimensions telling the same.

    invariance: the mean squared difference of two views; variance: how much the deviation of a dimension over all
    videos of all processes falls short of 1, in the mean; covariance: the sum of squares beside the covariance matrix's
    diagonal, over the number of dimensions, summed over views. Their weights are the paper's, 25, 25 and 1.
    `parts` holds the terms of the last batch, unweighted. Bardes et al., ICLR 2022 (arXiv:2105.04906).
    """

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0):
        super().__init__()
        _refuse_negative("VICRegLoss", invariance=invariance, variance=variance, covariance=covariance)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        self.parts: dict[str, Tensor] = {}

    def forward(self, views: Tensor) -> Tensor:
        """Returns the loss, a scalar, of embeddings (views, B, D)."""
        _check_batch("VICRegLoss", views)
        everyone = gather_with_gradient(views.transpose(0, 1)).transpose(0, 1)  # (views, all B, D)
        with float32_products(views.device):
            terms = {
                "invariance": _invariance(views),
                "variance": F.relu(1 - (everyone.var(dim=1) + 1e-4).sqrt()).mean(),
                "covariance": _covariance(everyone),
            }
        self.parts = {name: term.detach() for name, term in terms.items()}
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()


class LeJEPALoss(nn.Module):
    """Weighs the mean squared distance of the views from their center against SIGReg: (1 - weight) and weight.

    The only hyperparameter is `weight`, 0.05 in the paper; the others are those of the statistic (`SIGReg`). `parts`
    holds both terms of the last batch, unweighted. Balestriero and LeCun 2025 (arXiv:2511.08544).
    """

    def __init__(self, weight: float = 0.05, num_slices: int = 1024, num_frequencies: int = 17, largest: float = 5.0):
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"LeJEPALoss: expected a weight from 0 to 1, got {weight}")
        self.weight = weight
        self.sigreg = SIGReg(num_slices, num_frequencies, largest)
        self.parts: dict[str, Tensor] = {}

    def forward(self, views: Tensor) -> Tensor:
        """Returns the loss, a scalar, of embeddings (views, B, D)."""
        _check_batch("LeJEPALoss", views)
        invariance = (views - views.mean(dim=0)).square().mean()
        sigreg = self.sigreg(views)
        self.parts = {"invariance": invariance.detach(), "sigreg": sigreg.detach()}
        return (1 - self.weight) * invariance + self.weight * sigreg


def _invariance(views: Tensor) -> Tensor:
    """Returns the mean squared difference of two views, over all pairs of views (views, B, D)."""
    return torch.stack([F.mse_loss(one, other) for one, other in combinations(views, 2)]).mean()


def _covariance(views: Tensor) -> Tensor:
    centered = views - views.mean(dim=1, keepdim=True)
    covariances = centered.transpose(1, 2) @ centered / (views.shape[1] - 1)  # (views, D, D)
    diagonals = covariances.diagonal(dim1=1, dim2=2)
    return (covariances.square().sum() - diagonals.square().sum()) / views.shape[2]


def _check_batch(loss: str, views: Tensor) -> None:
    if views.shape[1] * world_size() < 2:
        raise UserError(f"{loss}: expected a batch of at least 2 videos over all processes, got {views.shape[1]}")


def _refuse_negative(loss: str, **weights: float) -> None:
    for name, weight in weights.items():
        if weight < 0:
            raise UserError(f"{loss}.{name}: expected a weight of at least 0, got {weight}")
