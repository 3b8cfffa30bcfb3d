"""Parts of a network that run one after the other, and need not keep what they compute (gradient checkpointing)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from tbe.errors import UserError


class Chain(nn.Sequential):
    """Runs its parts in order. With `recomputed` set, training computes what lies within a segment once more.

    Kept for the backward pass are the inputs of the `segments`, for the time of one more forward pass. Loss, gradients
    and batch norm statistics stay the same. Chen et al. 2016 (arXiv:1604.06174).
    """

    recomputed = False

    def forward(self, maps: Tensor) -> Tensor:
        if not (self.recomputed and self.training and torch.is_grad_enabled()):
            return super().forward(maps)
        for segment in segments(self):
            maps = recompute(segment, maps)
        return maps


def recompute_activations(network: nn.Module) -> None:
    """Sets `recomputed` wherever a network has it; a ValueError for a network that has it nowhere."""
    parts: list[Any] = [part for part in network.modules() if hasattr(part, "recomputed")]
    if not parts:
        raise UserError(
            "checkpoint_activations: expected a backbone whose parts run in a "
            "tbe.backbones.activation_checkpointing.Chain, "
            f"got {type(network).__name__}, which has none"
        )
    for part in parts:
        part.recomputed = True


def segments(parts: Iterable[nn.Module]) -> list[list[nn.Module]]:
    """Groups parts that run in order: a block, with the layers before it, or layers up to and with a pooling.

    A block has parts of its own; a sequence of blocks is as many of them.
    """
    found: list[list[nn.Module]] = [[]]
    for part in _opened(parts):
        found[-1].append(part)
        if _is_block(part) or isinstance(part, nn.MaxPool3d):
            found.append([])
    return [segment for segment in found if segment]


def recompute(parts: Sequence[nn.Module], *inputs: Any) -> Any:
    """Runs parts in order, the first on `inputs`, and keeps nothing but these for the backward pass."""
    run = partial(_run, parts)
    return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _StatisticsKept(parts)))


def _run(parts: Sequence[nn.Module], *inputs: Any) -> Any:
    first, *others = parts
    result = first(*inputs)
    for part in others:
        result = part(result)
    return result


class _StatisticsKept:
    """A context in which batch norms update copies of their statistics: a batch that runs again counts once."""

    def __init__(self, parts: Sequence[nn.Module]):
        self.norms = [part for whole in parts for part in whole.modules() if isinstance(part, _BatchNorm)]

    def __enter__(self) -> None:
        self.kept = [dict(norm.named_buffers(recurse=False)) for norm in self.norms]
        for norm, buffers in zip(self.norms, self.kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer.clone())

    def __exit__(self, *error: Any) -> None:
        for norm, buffers in zip(self.norms, self.kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


def _opened(parts: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for part in parts:
        if isinstance(part, nn.Sequential) and any(map(_is_block, part)):
            yield from _opened(part)
        else:
            yield part


def _is_block(part: nn.Module) -> bool:
    return next(part.children(), None) is not None
