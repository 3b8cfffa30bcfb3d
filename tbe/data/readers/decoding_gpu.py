"""Which GPU a reader decodes on, in this process and in the workers of its loader."""

from __future__ import annotations

import os
from typing import Any

import torch


def own_gpu() -> int:
    """Returns the number of the GPU that this process works on: torch's current one, before it has one LOCAL_RANK's."""
    if torch.cuda.is_initialized():  # Lightning has chosen it
        return torch.cuda.current_device()
    return int(os.environ.get("LOCAL_RANK", 0)) % max(1, torch.cuda.device_count())


class DecodesOnOwnGPU:
    """A reader with a `device` and a number `gpu`, null for the process's own, which workers are told.

    A worker that is spawned does not know on which GPU the process that started it works: without this all workers of
    all processes would decode on the first one.
    """

    device: str
    gpu: int | None

    @property
    def number(self) -> int:
        """Returns the number of the GPU to decode on."""
        return own_gpu() if self.gpu is None else self.gpu

    def worker_context(self, path: str) -> str | None:
        # A forked process can't use CUDA once its parent has.
        return "spawn" if self.device == "cuda" else None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "gpu": self.number} if self.device == "cuda" else vars(self)
