"""Which neighbors do not count: the query's own video."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Exclusion(NamedTuple):
    """Pairs of queries and gallery vectors that are the same video: neither finds the other.

    queries, gallery: int64 (p,) on the CPU, the rows of each pair, in the order of the gallery. Any gallery vector may
    be in several pairs, any query too: lists may have a video twice.
    """

    queries: Tensor
    gallery: Tensor

    @classmethod
    def of(cls, queries: Tensor, gallery: Tensor) -> Exclusion:
        """Pairs up the rows of equal videos; queries int64 (n,), gallery int64 (m,): which video each row is."""
        queries, gallery = queries.cpu(), gallery.cpu()
        known, order = queries.sort(stable=True)
        first = torch.searchsorted(known, gallery)
        counts = torch.searchsorted(known, gallery, right=True) - first
        rows = torch.arange(len(gallery)).repeat_interleave(counts)
        places = torch.arange(len(rows)) - (counts.cumsum(dim=0) - counts)[rows]  # among the equal ones
        return cls(order[first[rows] + places], rows)

    def __bool__(self) -> bool:
        """Whether there is any such pair."""
        return len(self.queries) > 0

    def counts(self, num_queries: int) -> Tensor:
        """How many gallery vectors each query may not find, int64 (num_queries,)."""
        return torch.bincount(self.queries, minlength=num_queries)

    def leave_out(self, scores: Tensor, first_query: int, first_video: int) -> None:
        """Puts what a query may not find infinitely far from it, in the scores (n, m) from these rows on."""
        bounds = torch.tensor([first_video, first_video + scores.shape[1]])
        begin, end = torch.searchsorted(self.gallery, bounds).tolist()
        rows, columns = self.queries[begin:end] - first_query, self.gallery[begin:end] - first_video
        inside = (rows >= 0) & (rows < len(scores))
        scores[rows[inside].to(scores.device), columns[inside].to(scores.device)] = -torch.inf

    def among(self, indices: Tensor) -> Tensor:
        """Which of the neighbors that were found are such, bool (n, k); indices int64 (n, k), a row a query."""
        size = int(max(indices.max(), self.gallery.max())) + 1
        rows = torch.arange(len(indices), device=indices.device).unsqueeze(1)
        return torch.isin(rows * size + indices, (self.queries * size + self.gallery).to(indices.device))
