"""How good features or comparisons are: pure functions of tensors, in percent."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.evaluation.neighbors import Exclusion, Space, nearest

MAX_PAIRS = 2**26  # of a query and a gallery video, ranked in one go: 256 MiB


def recall_at_k(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    ks: Sequence[int],
    metric: str = "cosine",
    excluded: Exclusion | None = None,
) -> dict[int, float]:
    """The share of queries, in percent, with a video of their class among their k nearest, for each k.

    This is the R@k of the video retrieval literature (a hit rate). A k larger than the gallery counts the whole
    gallery. No query finds what is `excluded` for it, here and below.
    """
    most = min(max(ks), len(gallery))
    return hit_rates(nearest(queries, gallery, most, metric, excluded)[1], query_labels, gallery_labels, ks)


def hit_rates(indices: Tensor, query_labels: Tensor, gallery_labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """`recall_at_k` of neighbors that were found already: indices (n, k), nearest first, -1 where there is none."""
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
    """The mean over queries of the average precision of the whole gallery, ranked by nearness, in percent.

    The average precision is the mean, over the videos of the query's class, of the share of that class among those
    that are as near or nearer (equally near ones count together, as in sklearn). A query without any counts 0.
    Needs a copy of the gallery and `MAX_PAIRS` floats; the time of n sorts of m floats beside that of the products.
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
    """The scores (n, m) of the videos of each query's label (n,): (n, largest class), filled up with -inf."""
    first = torch.searchsorted(sorted_labels, labels)
    counts = torch.searchsorted(sorted_labels, labels, right=True) - first
    numbers = torch.arange(int(counts.max()), device=scores.device)
    places = (first.unsqueeze(1) + numbers).clamp_max(len(by_label) - 1)
    return scores.gather(1, by_label[places]).masked_fill_(numbers >= counts.unsqueeze(1), -torch.inf)


def _average_precisions(relevant: Tensor, everything: Tensor) -> Tensor:
    """(n,) of the scores of the relevant (n, r) among all (n, m), each ascending; -inf is nobody."""
    hits = relevant.shape[1] - torch.searchsorted(relevant, relevant)
    ranks = everything.shape[1] - torch.searchsorted(everything, relevant)
    counted = relevant > -torch.inf
    return (hits / ranks * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def _ascending(scores: Tensor) -> Tensor:
    """The rows sorted, in place where that is faster."""
    if scores.device.type != "cpu":
        return scores.sort(dim=1).values
    # numpy's is twenty times faster than torch's, which moves indices along, but sorts in one thread.
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
    """Top-1 of the weighted k-nearest-neighbor classifier `knn_classes`, in percent."""
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
    weights = (found / temperature).softmax(dim=1)  # of neighbors that there are not: 0, or nan where there are none
    votes = weights.new_zeros(len(queries), int(gallery_labels.max()) + 1)
    votes.scatter_add_(1, gallery_labels[indices], weights)
    return votes.argmax(dim=1).masked_fill(indices[:, 0] < 0, -1)


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
