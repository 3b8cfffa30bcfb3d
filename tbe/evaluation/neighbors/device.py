"""Where to search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

ROOM = 4 * 2**30  # bytes beside the vectors: blocks of products, and of whole rankings to be sorted


@contextmanager
def exact_search(device: torch.device, *vectors: Tensor) -> Iterator[torch.device]:
    """The device on which to search these vectors: a GPU (`device`) that has room for them, otherwise the CPU.

    Where there is a GPU, float32 products are exact meanwhile, whatever precision a training has set.
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
    """Whether a GPU's free memory holds these vectors, a copy that is normalised, and the search."""
    torch.cuda.empty_cache()  # what extraction has left behind is free
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * sum(part.nbytes for part in vectors) + ROOM <= free
