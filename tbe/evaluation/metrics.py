"""Retrieval and classification metrics in percent, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.evaluation.neighbors import Exclusion, Space, nearest

MAX_PAIRS = 2**26  # query-gallery pairs ranked at once: 256 MiB


def recall_at_k(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    ks: Sequence[int],
    metric: str = "cosine",
    excluded: Exclusion | None = None,
) -> dict[int, float]:
    """Returns for each k the percentage of queries with a video of their class among their k nearest neighbors.

    This is the R@k of the video retrieval literature (a hit rate). A k larger than the gallery uses the whole gallery.
    Here and below, gallery videos `excluded` for a query are never its neighbors.
    """
    most = min(max(ks), len(gallery))
    return hit_rates(nearest(queries, gallery, most, metric, excluded)[1], query_labels, gallery_labels, ks)


def hit_rates(indices: Tensor, query_labels: Tensor, gallery_labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """Computes `recall_at_k` from neighbors: indices (n, k), nearest first, -1 where there is none."""
    hits = (gallery_labels[indices] == query_labels.unsqueeze(1)) & (indices >= 0)
    return {k: 100 * hits[:, :k].any(dim=1).float().mean().item() for k in ks}


@torch.no_grad()
def mean_average_precision(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    metric: str = "cosine",
    excluded: Exclusion | None = None,
) -> float:
    """Returns the mean over queries of the average precision of the whole gallery ranking, in percent.

    Average precision is the mean, over the gallery videos of the query's class, of the precision at their rank (ties
    count together, as in sklearn). A query without such videos counts 0. Needs a copy of the gallery and `MAX_PAIRS`
    floats, and the time of n sorts of m floats besides the matrix products.
    """
    space = Space.of(gallery, metric)
    queries, gallery = space.normalize(queries), space.normalize(gallery)
    by_label = gallery_labels.argsort(stable=True)
    size, total, start = max(1, MAX_PAIRS // len(gallery)), 0.0, 0
    for part, labels in zip(queries.split(size), query_labels.split(size), strict=True):
        scores = space.scores(part, gallery)
        if excluded:
            excluded.leave_out(scores, start, 0)
        same_class = _of_labels(scores, labels, gallery_labels[by_label], by_label)
        total += _average_precisions(_ascending(same_class), _ascending(scores)).sum().item()
        start += len(part)
    return 100 * total / len(queries)


def _of_labels(scores: Tensor, labels: Tensor, sorted_labels: Tensor, by_label: Tensor) -> Tensor:
    """Selects from scores (n, m) those of each query's label (n,): (n, largest class), padded with -inf."""
    first = torch.searchsorted(sorted_labels, labels)
    counts = torch.searchsorted(sorted_labels, labels, right=True) - first
    numbers = torch.arange(int(counts.max()), device=scores.device)
    places = (first.unsqueeze(1) + numbers).clamp_max(len(by_label) - 1)
    return scores.gather(1, by_label[places]).masked_fill_(numbers >= counts.unsqueeze(1), -torch.inf)


def _average_precisions(relevant: Tensor, everything: Tensor) -> Tensor:
    """Returns average precisions (n,) from ascending scores of relevant (n, r) and all videos (n, m); -inf pads."""
    hits = relevant.shape[1] - torch.searchsorted(relevant, relevant)
    ranks = everything.shape[1] - torch.searchsorted(everything, relevant)
    counted = relevant > -torch.inf
    return (hits / ranks * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def _ascending(scores: Tensor) -> Tensor:
    """Sorts the rows in ascending order, in place where that is faster."""
    if scores.device.type != "cpu":
        return scores.sort(dim=1).values
    # NumPy's sort is twenty times faster than torch's, which also sorts indices, but uses one thread.
    shares = [rows.numpy() for rows in scores.chunk(torch.get_num_threads())]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(lambda rows: rows.sort(axis=1), shares))
    return scores


def knn_accuracy(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    excluded: Exclusion | None = None,
) -> float:
    """Returns the top-1 accuracy of the weighted k-nearest-neighbor classifier `knn_classes`, in percent."""
    predicted = knn_classes(queries, gallery, gallery_labels, k, temperature, excluded)
    return 100 * (predicted == query_labels).float().mean().item()


def knn_classes(
    queries: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    excluded: Exclusion | None = None,
) -> Tensor:
    """Returns the class that the k nearest neighbors of each query vote for, int64 (n,), -1 where it has none.

    Neighbors vote with exp(cosine / temperature), as in Wu et al., CVPR 2018 (arXiv:1805.01978).
    A gallery smaller than k votes as a whole.
    """
    found, indices = nearest(queries, gallery, min(k, len(gallery)), excluded=excluded)
    weights = (found / temperature).softmax(dim=1)  # 0 for missing neighbors, nan if all are missing
    votes = weights.new_zeros(len(queries), int(gallery_labels.max()) + 1)
    votes.scatter_add_(1, gallery_labels[indices], weights)
    return votes.argmax(dim=1).masked_fill(indices[:, 0] < 0, -1)


def prototype_accuracy(support: Tensor, queries: Tensor) -> Tensor:
    """Returns the accuracy of nearest-prototype classification in each episode, in percent: (E,).

    support (E, W, S, F): S videos of each of W classes; queries (E, W, Q, F). A prototype is the mean of its unit
    vectors, nearness the cosine. Snell et al., NeurIPS 2017 (arXiv:1703.05175), on frozen features.
    """
    prototypes = F.normalize(F.normalize(support.float(), dim=-1).mean(dim=2), dim=-1)
    scores = torch.einsum("ewqf,evf->ewqv", queries.float(), prototypes)
    labels = torch.arange(support.shape[1], device=support.device).view(1, -1, 1)
    return 100 * (scores.argmax(dim=-1) == labels).flatten(1).float().mean(dim=1)


def topk_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns how often the label is among the k highest scores, in percent: scores (n, num_classes), labels (n,).

    It is 100 for at most k classes. A label without a column counts as wrong, and so does one whose score is -inf, of
    which nothing is known.
    """
    most = min(k, scores.shape[1])
    best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    is_known = np.isfinite(np.take_along_axis(scores, best, axis=1))
    return 100 * float(((best == labels[:, None]) & is_known).any(axis=1).mean())
