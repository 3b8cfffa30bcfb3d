"""How good features or comparisons are: pure functions of tensors, in percent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def contrast_accuracy(positives: Tensor, negatives: Tensor) -> Tensor:
    """How often the positive (B,) beats all negatives (B, K), in percent: a scalar tensor."""
    return 100 * (positives > negatives.amax(dim=1)).float().mean()


def nearest(queries: Tensor, gallery: Tensor, k: int, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """The k nearest gallery vectors of each query by cosine similarity, nearest first.

    queries (n, F), gallery (m, F) -> similarities (n, k), indices (n, k). Works through the queries in
    chunks, so memory grows with chunk * m and not with n * m. A ValueError when k exceeds m.
    """
    if k > len(gallery):
        raise ValueError(f"expected at least {k} gallery videos for {k} neighbours, got {len(gallery)}")
    gallery = F.normalize(gallery.float(), dim=1).T.contiguous()
    found = [(F.normalize(part.float(), dim=1) @ gallery).topk(k, dim=1) for part in queries.split(chunk)]
    return torch.cat([top.values for top in found]), torch.cat([top.indices for top in found])


def recall_at_k(
    queries: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor, ks: Sequence[int]
) -> dict[int, float]:
    """The share of queries, in percent, with a video of their class among their k nearest, for each k.

    This is the R@k of the video retrieval literature (a hit rate), by cosine similarity. A k larger than
    the gallery counts the whole gallery.
    """
    most = min(max(ks), len(gallery))
    hits = gallery_labels[nearest(queries, gallery, most)[1]] == query_labels.unsqueeze(1)
    return {k: 100 * hits[:, :k].any(dim=1).float().mean().item() for k in ks}


def knn_accuracy(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Top-1 of the weighted k-nearest-neighbour classifier, in percent.

    Neighbours vote with exp(cosine / temperature), as in Wu et al., CVPR 2018 (arXiv:1805.01978).
    A gallery smaller than k votes as a whole.
    """
    similarities, indices = nearest(queries, gallery, min(k, len(gallery)))
    votes = (similarities / temperature).softmax(dim=1)
    num_classes = int(gallery_labels.max()) + 1
    scores = votes.new_zeros(len(queries), num_classes).scatter_add_(1, gallery_labels[indices], votes)
    return 100 * (scores.argmax(dim=1) == query_labels).float().mean().item()


def topk_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """How often the label is among the k highest scores, in percent: scores (n, num_classes), labels (n,).

    With no more than k classes it is 100. A label beyond the scores' columns counts as missed.
    """
    most = min(k, scores.shape[1])
    best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    return 100 * float((best == labels[:, None]).any(axis=1).mean())
