"""Search with faiss, which is optional."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
from torch import Tensor

from tbe.errors import UserError
from tbe.evaluation.neighbors.exclusion import Exclusion
from tbe.evaluation.neighbors.space import Space, check

BLOCK = 8192  # gallery vectors that are added in one go


@torch.no_grad()
def nearest_by_faiss(
    queries: Tensor, gallery: Tensor, k: int, metric: str = "cosine", excluded: Exclusion | None = None
) -> tuple[Tensor, Tensor]:
    """As `nearest`, with faiss's flat index, on the CPU; which of equally near vectors come first is faiss's choice.

    The index holds a copy of the gallery. A ValueError where faiss is not installed.
    """
    check(gallery, k)
    faiss = load_faiss()
    space = Space.of(gallery, metric)
    index = (faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2)(gallery.shape[1])
    for block in gallery.split(BLOCK):
        index.add(space.normalize(block).cpu().numpy())
    more = int(excluded.counts(len(queries)).max()) if excluded else 0  # that are found and don't count
    found, indices = map(
        torch.from_numpy, index.search(space.normalize(queries).cpu().numpy(), min(k + more, len(gallery)))
    )
    found = found if metric == "cosine" else -found.clamp_min(0).sqrt()
    if excluded:
        found, indices = _without(excluded.among(indices), found, indices, k)
    return found.to(queries.device), indices.to(queries.device)


def load_faiss() -> ModuleType:
    """The library; a ValueError that says how to install it."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise UserError('backend=faiss: expected faiss to be installed, got none: pip install -e ".[faiss]"') from error


def _without(gone: Tensor, found: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k of similarities and indices (n, l) that are not gone (n, l); -inf and -1 where there are fewer."""
    places = gone.long().argsort(dim=1, stable=True)[:, :k]
    gone, found, indices = (part.gather(1, places) for part in (gone, found, indices))
    return found.masked_fill(gone, -torch.inf), indices.masked_fill(gone, -1)
