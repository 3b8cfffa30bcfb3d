"""Chooses the device of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

ROOM = 4 * 2**30  # bytes needed besides the vectors: blocks of products, and whole rankings to sort


@contextmanager
def exact_search(device: torch.device, *vectors: Tensor) -> Iterator[torch.device]:
    """Yields the device for searching these vectors: a GPU (`device`) with enough free memory, otherwise the CPU.

    On a GPU, float32 products are exact within the context, whatever precision training has set.
    """
    if device.type != "cuda":
        yield torch.device("cpu")
        return
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield device if has_room(device, *vectors) else torch.device("cpu")
    finally:
        torch.set_float32_matmul_precision(precision)


def has_room(device: torch.device, *vectors: Tensor) -> bool:
    """Returns whether a GPU's free memory holds these vectors, a normalized copy, and the search."""
    torch.cuda.empty_cache()  # frees memory cached during extraction
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * sum(part.nbytes for part in vectors) + ROOM <= free
