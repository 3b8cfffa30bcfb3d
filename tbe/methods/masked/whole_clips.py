"""Batch norms of masked modelling: trained on what is left of clips, they are evaluated on whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tbe.backbones.base import VideoBackbone


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Lets batch norms, in training, normalize by their batch without moving their running means and variances."""
    norms = _tracking(network)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@torch.no_grad()
def look_at(backbone: VideoBackbone, clips: Tensor) -> None:
    """Moves running means and variances, in training, towards those of whole clips (B, C, T, H, W).

    Of clips of which nine tenths are gray they would be others, and the features of whole clips wrong by as much.
    After the passes with gradient: autocast keeps weights that it has cast, and those cast here have none.
    """
    if backbone.training and _tracking(backbone):
        backbone.forward_features(clips)


def _tracking(network: nn.Module) -> list[_BatchNorm]:
    return [part for part in network.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
