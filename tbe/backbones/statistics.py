"""Lets batch norms normalize by a batch that is not to move their running means and variances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class StatisticsKept:
    """A context in which the batch norms of some parts, in training, move copies of their running means and variances.

    For clips that never occur in evaluation, as still or masked ones, and for a batch that is computed again. The
    buffers are exchanged, and not the mode of the norms, so that the same is computed within activation checkpoints.
    """

    def __init__(self, *parts: nn.Module):
        self.norms = list(batch_norms(parts))

    def __enter__(self) -> None:
        self.kept = [dict(norm.named_buffers(recurse=False)) for norm in self.norms]
        for norm, buffers in zip(self.norms, self.kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer.clone())

    def __exit__(self, *error: object) -> None:
        for norm, buffers in zip(self.norms, self.kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


def batch_norms(parts: Iterable[nn.Module]) -> Iterator[_BatchNorm]:
    """Yields the batch norms of some parts that have running means and variances."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, _BatchNorm) and module.track_running_stats:
                yield module
