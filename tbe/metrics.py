"""How good features or comparisons are: pure functions of tensors, in percent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

METRICS = ("cosine", "euclidean")
MOST_PAIRS = 2**24  # of a query and a gallery video, looked at in one go


def contrast_accuracy(positives: Tensor, negatives: Tensor) -> Tensor:
    """How often the positive (B,) beats all negatives (B, K), in percent: a scalar tensor."""
    return 100 * (positives > negatives.amax(dim=1)).float().mean()


def nearest(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    metric: str = "cosine",
    leave_one_out: bool = False,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k nearest gallery vectors of each query, nearest first.

    queries (n, F), gallery (m, F) -> similarities (n, k), indices (n, k), as in `similarities`. A ValueError when k
    exceeds m, or with `leave_one_out` m - 1.
    """
    most = len(gallery) - leave_one_out
    if k > most:
        besides = " besides the query" if leave_one_out else ""
        raise ValueError(f"expected at least {k} gallery videos{besides} for {k} neighbours, got {most}")
    pairs = similarities(queries, gallery, metric, leave_one_out, chunk)
    found = [part.topk(k, dim=1) for part in pairs]
    return torch.cat([top.values for top in found]), torch.cat([top.indices for top in found])


def similarities(
    queries: Tensor,
    gallery: Tensor,
    metric: str = "cosine",
    leave_one_out: bool = False,
    chunk: int | None = None,
) -> Iterator[Tensor]:
    """How near each gallery vector (m, F) is to each query (n, F), the larger the nearer: rows of (n, m) in chunks.

    The cosine, or minus the Euclidean distance. With `leave_one_out` queries and gallery are the same videos in the
    same order, and a video is infinitely far from itself. Chunks are as small as m needs, or of `chunk` queries, so
    memory does not grow with n * m.
    """
    if metric not in METRICS:
        raise ValueError(f"expected metric to be one of {', '.join(METRICS)}, got {metric!r}")
    if leave_one_out and len(queries) != len(gallery):
        raise ValueError(f"leave one out: expected the queries as gallery, got {len(queries)} and {len(gallery)}")
    queries, gallery = queries.float(), gallery.float()
    if metric == "cosine":
        queries, gallery = F.normalize(queries, dim=1), F.normalize(gallery, dim=1)
    else:
        # Distances stay, and what is small beside the vectors themselves is not rounded away.
        queries, gallery = queries - gallery.mean(dim=0), gallery - gallery.mean(dim=0)
    start = 0
    for part in queries.split(chunk or max(1, MOST_PAIRS // len(gallery))):
        found = part @ gallery.T if metric == "cosine" else -torch.cdist(part, gallery)
        if leave_one_out:
            found.diagonal(offset=start).fill_(-torch.inf)
        start += len(part)
        yield found


def recall_at_k(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    ks: Sequence[int],
    metric: str = "cosine",
    leave_one_out: bool = False,
) -> dict[int, float]:
    """The share of queries, in percent, with a video of their class among their k nearest, for each k.

    This is the R@k of the video retrieval literature (a hit rate). A k larger than the gallery counts the whole
    gallery.
    """
    most = min(max(ks), max(1, len(gallery) - leave_one_out))
    hits = gallery_labels[nearest(queries, gallery, most, metric, leave_one_out)[1]] == query_labels.unsqueeze(1)
    return {k: 100 * hits[:, :k].any(dim=1).float().mean().item() for k in ks}


def mean_average_precision(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    metric: str = "cosine",
    leave_one_out: bool = False,
) -> float:
    """The mean over queries of the average precision of the whole gallery, ranked by nearness, in percent.

    The average precision is the mean, over the videos of the query's class, of the share of that class among those
    ranked no lower. A query without any counts 0.
    """
    most, total, start = len(gallery) - leave_one_out, 0.0, 0
    ranks = torch.arange(1, most + 1, device=gallery.device)
    for part in similarities(queries, gallery, metric, leave_one_out):
        order = part.argsort(dim=1, descending=True)[:, :most]  # what is left out comes last
        hits = (gallery_labels[order] == query_labels[start : start + len(part), None]).float()
        precisions = hits.cumsum(dim=1) / ranks
        total += ((precisions * hits).sum(dim=1) / hits.sum(dim=1).clamp_min(1)).sum().item()
        start += len(part)
    return 100 * total / len(queries)


def knn_accuracy(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    leave_one_out: bool = False,
) -> float:
    """Top-1 of the weighted k-nearest-neighbour classifier, in percent.

    Neighbours vote with exp(cosine / temperature), as in Wu et al., CVPR 2018 (arXiv:1805.01978).
    A gallery smaller than k votes as a whole.
    """
    most = min(k, max(1, len(gallery) - leave_one_out))
    found, indices = nearest(queries, gallery, most, leave_one_out=leave_one_out)
    votes = (found / temperature).softmax(dim=1)
    num_classes = int(gallery_labels.max()) + 1
    scores = votes.new_zeros(len(queries), num_classes).scatter_add_(1, gallery_labels[indices], votes)
    return 100 * (scores.argmax(dim=1) == query_labels).float().mean().item()


def prototype_accuracy(support: Tensor, queries: Tensor) -> Tensor:
    """How often a query is nearest to the prototype of its class, of each episode, in percent: (E,).

    support (E, W, S, F): S videos of each of W classes; queries (E, W, Q, F). A prototype is the mean of its unit
    vectors, nearness the cosine. Snell et al., NeurIPS 2017 (arXiv:1703.05175), on frozen features.
    """
    prototypes = F.normalize(F.normalize(support.float(), dim=-1).mean(dim=2), dim=-1)
    scores = torch.einsum("ewqf,evf->ewqv", queries.float(), prototypes)
    labels = torch.arange(support.shape[1], device=support.device).view(1, -1, 1)
    return 100 * (scores.argmax(dim=-1) == labels).flatten(1).float().mean(dim=1)


def topk_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """How often the label is among the k highest scores, in percent: scores (n, num_classes), labels (n,).

    With no more than k classes it is 100. A label beyond the scores' columns counts as missed.
    """
    most = min(k, scores.shape[1])
    best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    return 100 * float((best == labels[:, None]).any(axis=1).mean())
