"""Metrics of the search, computed by one matrix product."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.errors import UserError

METRICS = ("cosine", "euclidean")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Space(NamedTuple):
    """A metric for a gallery (m, F). center (F,): the gallery's mean, for the Euclidean metric only."""

    center: Tensor | None = None

    @classmethod
    def of(cls, gallery: Tensor, metric: str) -> Space:
        """Returns the space of a gallery; raises UserError for an unknown metric."""
        if metric not in METRICS:
            raise UserError(f"expected metric to be one of {', '.join(METRICS)}, got {metric!r}")
        # Centering keeps distances, and small ones between large vectors are not lost to rounding.
        return cls(gallery.mean(dim=0, dtype=torch.float32) if metric == "euclidean" else None)

    def normalize(self, vectors: Tensor, out: Tensor | None = None) -> Tensor:
        """Returns vectors (n, F) as float32, scaled to unit length or centered: a copy, or in `out`."""
        if self.center is None:
            return F.normalize(vectors.float(), dim=1, out=out)
        return torch.sub(vectors.float(), self.center, out=out)

    def scores(self, queries: Tensor, gallery: Tensor, precision: str = "fp32", out: Tensor | None = None) -> Tensor:
        """Returns float32 scores (n, m), larger is nearer, of normalized vectors (n, F), (m, F); in `out` if given."""
        if precision != "fp32":
            kind = PRECISIONS[precision]
            products = (queries.to(kind) @ gallery.to(kind).T).float()
        else:
            products = torch.mm(queries, gallery.T, out=out)
        return products if self.center is None else products.sub_(gallery.norm(dim=1).square() / 2)

    def similarities(self, scores: Tensor, queries: Tensor) -> Tensor:
        """Converts scores (n, k) to cosines or negative Euclidean distances (n, k), given normalized queries (n, F)."""
        if self.center is None:
            return scores
        return -(queries.norm(dim=1, keepdim=True).square() - 2 * scores).clamp_min(0).sqrt()


def check(gallery: Tensor, k: int) -> None:
    """Raises UserError if k exceeds the size of the gallery."""
    if k > len(gallery):
        raise UserError(f"expected at least {k} gallery videos for {k} neighbors, got {len(gallery)}")
