"""What near means, laid out so that one matrix product tells it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.errors import UserError

METRICS = ("cosine", "euclidean")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Space(NamedTuple):
    """A gallery's vectors (m, F) under a metric. center (F,): their mean, of the Euclidean metric alone."""

    center: Tensor | None = None

    @classmethod
    def of(cls, gallery: Tensor, metric: str) -> Space:
        """A ValueError for a metric that is not known."""
        if metric not in METRICS:
            raise UserError(f"expected metric to be one of {', '.join(METRICS)}, got {metric!r}")
        # Distances stay, and what is small beside the vectors themselves is not rounded away.
        return cls(gallery.mean(dim=0, dtype=torch.float32) if metric == "euclidean" else None)

    def normalize(self, vectors: Tensor, out: Tensor | None = None) -> Tensor:
        """Vectors (n, F) of any float type as float32, of unit length or around the center: a copy, or in `out`."""
        if self.center is None:
            return F.normalize(vectors.float(), dim=1, out=out)
        return torch.sub(vectors.float(), self.center, out=out)

    def scores(self, queries: Tensor, gallery: Tensor, precision: str = "fp32", out: Tensor | None = None) -> Tensor:
        """The larger the nearer, float32 (n, m), of placed vectors (n, F) and (m, F); may lie in `out` (n, m)."""
        if precision != "fp32":
            kind = PRECISIONS[precision]
            products = (queries.to(kind) @ gallery.to(kind).T).float()
        else:
            products = torch.mm(queries, gallery.T, out=out)
        return products if self.center is None else products.sub_(gallery.norm(dim=1).square() / 2)

    def similarities(self, scores: Tensor, queries: Tensor) -> Tensor:
        """The cosine, or minus the Euclidean distance: (n, k), of scores (n, k) and placed queries (n, F)."""
        if self.center is None:
            return scores
        return -(queries.norm(dim=1, keepdim=True).square() - 2 * scores).clamp_min(0).sqrt()


def check(gallery: Tensor, k: int) -> None:
    """A ValueError for more neighbors than there are."""
    if k > len(gallery):
        raise UserError(f"expected at least {k} gallery videos for {k} neighbors, got {len(gallery)}")
