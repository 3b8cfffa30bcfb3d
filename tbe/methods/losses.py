"""Losses on the comparisons that a method returns, and its accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.distributed import gather
from tbe.errors import UserError


class InfoNCE(nn.Module):
    """Computes the cross-entropy of the positive among all negatives, at a temperature.

    positives (B,) and negatives (B, K) are cosine similarities; a negative of weight w, of weights (K,), counts as w
    equal ones. van den Oord et al. 2018 (arXiv:1807.03748); tau 0.07 as in MoCo (He et al., CVPR 2020) and BE.
    """

    def __init__(self, temperature: float = 0.07):
        super().__init__()
        if temperature <= 0:
            raise UserError(f"InfoNCE: expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def forward(self, positives: Tensor, negatives: Tensor, weights: Tensor | None = None) -> Tensor:
        if not negatives.shape[1]:
            raise UserError("InfoNCE: expected negatives, got none. A method without them goes with loss=cosine")
        logits = torch.cat([positives.unsqueeze(1), negatives], dim=1) / self.temperature
        if weights is not None:
            logits = logits + _log_weights(weights)
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


class NCE(nn.Module):
    """Classifies each of 1 + K comparisons as positive or noise: the sum of their logistic losses.

    positives (B,) and negatives (B, K) are cosine similarities; a negative of weight w, of weights (K,), counts as w
    equal ones. The normalizer of exp(cosine / temperature) is estimated from the first batch, over all processes, and
    then fixed. Noise is K times as likely as the positive.
    Gutmann and Hyvarinen, AISTATS 2010; the constant as in Wu et al., CVPR 2018
    (arXiv:1805.01978).
    """

    log_mean: Tensor

    def __init__(self, temperature: float = 0.07):
        super().__init__()
        if temperature <= 0:
            raise UserError(f"NCE: expected a temperature above 0, got {temperature}")
        self.temperature = temperature
        self.register_buffer("log_mean", torch.tensor(float("nan")))  # unknown before the first batch
        self._known = False  # before a second batch; a copy on the host, so that no step synchronizes with the device

    def forward(self, positives: Tensor, negatives: Tensor, weights: Tensor | None = None) -> Tensor:
        if not negatives.shape[1]:
            raise UserError("NCE: expected negatives, got none. A method without them goes with loss=cosine")
        scores = torch.cat([positives.unsqueeze(1), negatives], dim=1) / self.temperature
        weights = torch.ones_like(negatives[0]) if weights is None else weights
        if not self._known:
            self._known = not bool(self.log_mean.isnan())  # of an earlier batch: the first may be skipped, and undone
            if not self._known:
                everyone = gather((scores + _log_weights(weights)).detach())
                self.log_mean.copy_(everyone.flatten().logsumexp(0) - (len(everyone) * (1 + weights.sum())).log())
        logits = scores - self.log_mean - weights.sum().log()
        return F.softplus(-logits[:, 0]).mean() + (weights * F.softplus(logits[:, 1:])).sum(dim=1).mean()


class TripletMargin(nn.Module):
    """Sums over the negatives the hinge losses of the positive being nearer than the negative by a margin.

    positives (B,) and negatives (B, 2) are cosines of unit vectors, whose distance is sqrt(2 - 2 cosine). weights: for
    the negative from the same video (intra) and from another (inter). Margin 0.5 and weights 1 are BE-triplet's.
    """

    weights: Tensor

    def __init__(self, margin: float = 0.5, weights: Sequence[float] = (1.0, 1.0)):
        super().__init__()
        self.margin = margin
        # A buffer, so that no step copies it to the device; not persistent, because it is a setting.
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32), persistent=False)

    def forward(self, positives: Tensor, negatives: Tensor) -> Tensor:
        if negatives.shape[1] != len(self.weights):
            raise UserError(
                f"TripletMargin: expected {len(self.weights)} negatives a query, got {negatives.shape[1]}: "
                "loss=triplet goes with method=triplet"
            )
        hinges = F.relu(_distance(positives).unsqueeze(1) - _distance(negatives) + self.margin).mean(dim=0)
        return (hinges * self.weights).sum()


class CosineRegression(nn.Module):
    """Computes the squared distance of unit vectors, 2 - 2 cosine, of the positives (B,); ignores negatives.

    The loss of BYOL (arXiv:2006.07733).
    """

    def forward(self, positives: Tensor, negatives: Tensor, weights: Tensor | None = None) -> Tensor:
        return (2 - 2 * positives).mean()


def _log_weights(weights: Tensor) -> Tensor:
    """Returns what weights (K,) of the negatives add to the logits (1 + K,): nothing to that of the positive."""
    return F.pad(weights.log(), (1, 0))


def _distance(cosines: Tensor) -> Tensor:
    return (2 - 2 * cosines).clamp_min(1e-12).sqrt()  # the square root has an infinite gradient at 0


def contrast_accuracy(positives: Tensor, negatives: Tensor) -> Tensor:
    """Returns how often the positive (B,) exceeds all negatives (B, K), in percent: a scalar tensor."""
    return 100 * (positives > negatives.amax(dim=1)).float().mean()
