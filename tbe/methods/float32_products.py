"""Products of float32 tensors that are float32, whatever precision a training has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_products(device: torch.device) -> Iterator[None]:
    """Computes within it outside autocast and, on a GPU, without TF32.

    Half precision is too coarse for cosines at a temperature of 0.07, and TF32 has no more digits. The backward pass
    computes as the training has set: it is outside.
    """
    before = torch.get_float32_matmul_precision()
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda" or before == "highest":
            yield
            return
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
