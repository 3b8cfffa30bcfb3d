"""Nearest-neighbor search by faiss, an optional dependency."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
from torch import Tensor

from tbe.errors import UserError
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.space import Space, check

BLOCK = 8192  # gallery vectors added at once


@torch.no_grad()
def nearest_by_faiss(
    queries: Tensor, gallery: Tensor, k: int, metric: str = "cosine", excluded: Exclusion | None = None
) -> tuple[Tensor, Tensor]:
    """Searches like `nearest`, by faiss's flat index on the CPU; the order of ties is up to faiss.

    The index holds a copy of the gallery. Raises UserError if faiss is not installed.
    """
    check(gallery, k)
    faiss = load_faiss()
    space = Space.of(gallery, metric)
    index = (faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2)(gallery.shape[1])
    for block in gallery.split(BLOCK):
        index.add(space.normalize(block).cpu().numpy())
    more = int(excluded.counts(len(queries)).max()) if excluded else 0  # neighbors to drop afterwards
    found, indices = map(
        torch.from_numpy, index.search(space.normalize(queries).cpu().numpy(), min(k + more, len(gallery)))
    )
    found = found if metric == "cosine" else -found.clamp_min(0).sqrt()
    if excluded:
        found, indices = _without(excluded.among(indices), found, indices, k)
    return found.to(queries.device), indices.to(queries.device)


def load_faiss() -> ModuleType:
    """Imports faiss; raises UserError, with how to install it, if it is missing."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise UserError('backend=faiss: expected faiss to be installed, got none: pip install -e ".[faiss]"') from error


def _without(gone: Tensor, found: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the first k similarities and indices (n, l) not marked in `gone` (n, l), padded with -inf and -1."""
    places = gone.long().argsort(dim=1, stable=True)[:, :k]
    gone, found, indices = (part.gather(1, places) for part in (gone, found, indices))
    return found.masked_fill(gone, -torch.inf), indices.masked_fill(gone, -1)
