"""Excludes a query's own video from its neighbors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Exclusion(NamedTuple):
    """Pairs of a query and a gallery vector of the same video, which are not neighbors.

    queries, gallery: int64 (p,) on the CPU, the rows of each pair, in gallery order. Queries and gallery vectors may be
    in several pairs, because lists may repeat a video.
    """

    queries: Tensor
    gallery: Tensor

    @classmethod
    def of(cls, queries: Tensor, gallery: Tensor) -> Exclusion:
        """Builds the pairs of rows with equal video ids: queries int64 (n,), gallery int64 (m,)."""
        queries, gallery = queries.cpu(), gallery.cpu()
        known, order = queries.sort(stable=True)
        first = torch.searchsorted(known, gallery)
        counts = torch.searchsorted(known, gallery, right=True) - first
        rows = torch.arange(len(gallery)).repeat_interleave(counts)
        places = torch.arange(len(rows)) - (counts.cumsum(dim=0) - counts)[rows]  # rank among the equal ones
        return cls(order[first[rows] + places], rows)

    def __bool__(self) -> bool:
        """Returns whether there are any pairs."""
        return len(self.queries) > 0

    def counts(self, num_queries: int) -> Tensor:
        """Counts the excluded gallery vectors of each query, int64 (num_queries,)."""
        return torch.bincount(self.queries, minlength=num_queries)

    def leave_out(self, scores: Tensor, first_query: int, first_video: int) -> None:
        """Sets excluded pairs to -inf in a block of scores (n, m) that starts at these rows."""
        bounds = torch.tensor([first_video, first_video + scores.shape[1]])
        begin, end = torch.searchsorted(self.gallery, bounds).tolist()
        rows, columns = self.queries[begin:end] - first_query, self.gallery[begin:end] - first_video
        inside = (rows >= 0) & (rows < len(scores))
        scores[rows[inside].to(scores.device), columns[inside].to(scores.device)] = -torch.inf

    def among(self, indices: Tensor) -> Tensor:
        """Returns which found neighbors are excluded, bool (n, k), for indices int64 (n, k), one row per query."""
        size = int(max(indices.max(), self.gallery.max())) + 1
        rows = torch.arange(len(indices), device=indices.device).unsqueeze(1)
        return torch.isin(rows * size + indices, (self.queries * size + self.gallery).to(indices.device))
