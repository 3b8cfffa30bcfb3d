"""Effective ranks of embeddings: how many dimensions they use, and in how many of them videos differ."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = torch.finfo(torch.float64).tiny


def rankme(embeddings: Tensor) -> float:
    """Returns RankMe of embeddings (n, D), from 1 to min(n, D): the effective rank of the matrix, not centered.

    That is the exponential of the entropy of the singular values' shares. Computed in float64, on the CPU.
    Garrido et al., ICML 2023 (arXiv:2210.02885).
    """
    matrix = embeddings.cpu().double()
    products = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
    return _effective_rank(torch.linalg.eigvalsh(products).clamp_min(0).sqrt(), 1e-7)


def lidar(embeddings: Tensor, delta: float = 1e-4) -> float:
    """Returns LiDAR of embeddings (n, views, D) of at least two views of each of n videos: from 1 to min(n - 1, D).

    The effective rank of the covariance of the videos' means, in units of the covariance of views about their means to
    which `delta` is added on the diagonal: dimensions count in which videos differ by more than their views do.
    Computed in float64, on the CPU. Thilak et al., ICLR 2024 (arXiv:2312.04000).
    """
    samples = embeddings.cpu().double()
    num, views, dim = samples.shape
    if dim > num * views:  # nothing lies outside of the space of the samples: rotated into it, all are smaller
        samples = samples @ torch.linalg.qr(samples.flatten(0, 1).T).Q
    means = samples.mean(dim=1)
    within = (samples - means.unsqueeze(1)).flatten(0, 1)
    between = (means - means.mean(dim=0)) / (num - 1) ** 0.5
    scatter = within.T @ within / (num * (views - 1)) + delta * torch.eye(within.shape[1], dtype=torch.float64)
    # L^-1 B with L L^T the scatter has the singular values of scatter^-1/2 B.
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(scatter), between.T, upper=False)
    products = whitened @ whitened.T if whitened.shape[0] < num else whitened.T @ whitened
    return _effective_rank(torch.linalg.eigvalsh(products).clamp_min(0), 1e-8)


def _effective_rank(values: Tensor, epsilon: float) -> float:
    """Returns the exponential of the entropy of the values' shares (k,), to each of which `epsilon` is added."""
    shares = values / (values.sum() + TINY) + epsilon
    return float((-(shares * shares.log()).sum()).exp())
