"""Queue of earlier keys, as used by MoCo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.errors import UserError


class KeyQueue(nn.Module):
    """Holds the last `size` keys and overwrites the oldest first; checkpoints include keys and position.

    Initialized with random unit vectors, as in MoCo (He et al., CVPR 2020).
    """

    keys: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int):
        super().__init__()
        if size < 1:
            raise UserError(f"KeyQueue: expected a size of at least 1, got {size}")
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return len(self.keys)

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Stores keys (n, dim); if they exceed the size, only the last ones are kept."""
        keys = keys[-len(self) :]
        # The position stays a tensor: reading it on the host would synchronize with the device at each step.
        places = (self.position + torch.arange(len(keys), device=keys.device)) % len(self)
        self.keys.index_copy_(0, places, keys.to(self.keys.dtype))
        self.position.add_(len(keys)).remainder_(len(self))
