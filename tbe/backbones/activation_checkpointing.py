"""Activation (gradient) checkpointing: recomputes a network's activations in segments to save memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tbe.backbones.statistics import StatisticsKept
from tbe.errors import UserError


class Chain(nn.Sequential):
    """Runs its parts in order; with `recomputed` set, training recomputes the activations within each segment.

    Only the inputs of the `segments` are kept for the backward pass, at the cost of one more forward pass. Loss,
    gradients and batch norm statistics stay the same. Chen et al. 2016 (arXiv:1604.06174).
    """

    recomputed = False

    def forward(self, maps: Tensor) -> Tensor:
        if not (self.recomputed and self.training and torch.is_grad_enabled()):
            return super().forward(maps)
        for segment in segments(self):
            maps = recompute(segment, maps)
        return maps


def recompute_activations(network: nn.Module) -> None:
    """Sets `recomputed` on all parts of a network that have it; raises UserError if none has."""
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
    """Groups sequential parts into segments: a block with the layers before it, or layers up to and with a pooling.

    A block is a part with children; a sequence of blocks counts as its blocks.
    """
    groups: list[list[nn.Module]] = [[]]
    for part in _flattened(parts):
        groups[-1].append(part)
        if _is_block(part) or isinstance(part, nn.MaxPool3d):
            groups.append([])
    return [group for group in groups if group]


def recompute(parts: Sequence[nn.Module], *inputs: Any) -> Any:
    """Runs parts in order, the first on `inputs`, and keeps only these for the backward pass."""
    run = partial(_run, parts)
    return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), StatisticsKept(*parts)))


def _run(parts: Sequence[nn.Module], *inputs: Any) -> Any:
    first, *others = parts
    result = first(*inputs)
    for part in others:
        result = part(result)
    return result


def _flattened(parts: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for part in parts:
        if isinstance(part, nn.Sequential) and any(map(_is_block, part)):
            yield from _flattened(part)
        else:
            yield part


def _is_block(part: nn.Module) -> bool:
    return next(part.children(), None) is not None
