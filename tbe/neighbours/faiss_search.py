"""Search with faiss, which is optional."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
from torch import Tensor

from tbe.errors import UserError
from tbe.neighbours.space import Space, check

BLOCK = 8192  # gallery vectors that are added in one go


@torch.no_grad()
def nearest_by_faiss(
    queries: Tensor, gallery: Tensor, k: int, metric: str = "cosine", leave_one_out: bool = False
) -> tuple[Tensor, Tensor]:
    """As `nearest`, with faiss's flat index, on the CPU; which of equally near vectors come first is faiss's choice.

    The index holds a copy of the gallery. A ValueError where faiss is not installed.
    """
    check(queries, gallery, leave_one_out, k)
    faiss = load_faiss()
    space = Space.of(gallery, metric)
    index = (faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2)(gallery.shape[1])
    for block in gallery.split(BLOCK):
        index.add(space.placed(block).cpu().numpy())
    found, indices = map(torch.from_numpy, index.search(space.placed(queries).cpu().numpy(), k + leave_one_out))
    if leave_one_out:
        others = _without_itself(indices)
        found, indices = found.gather(1, others), indices.gather(1, others)
    found = found if metric == "cosine" else -found.clamp_min(0).sqrt()
    return found.to(queries.device), indices.to(queries.device)


def load_faiss() -> ModuleType:
    """The library; a ValueError that says how to install it."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise UserError('backend=faiss: expected faiss to be installed, got none: pip install -e ".[faiss]"') from error


def _without_itself(indices: Tensor) -> Tensor:
    """The columns (n, k) of neighbours (n, k + 1) that are not the query; the last goes where none is it."""
    itself = indices == torch.arange(len(indices)).unsqueeze(1)
    itself[:, -1] |= ~itself.any(dim=1)
    return (~itself).nonzero()[:, 1].view(len(indices), -1)
