"""Batch norms of masked modelling: trained on what is left of clips, they are evaluated on whole ones."""

from __future__ import annotations

import torch
from torch import Tensor

from tbe.backbones.base import VideoBackbone
from tbe.backbones.statistics import batch_norms


@torch.no_grad()
def look_at(backbone: VideoBackbone, clips: Tensor) -> None:
    """Moves running means and variances, in training, towards those of whole clips (B, C, T, H, W).

    Of clips of which nine tenths are gray they would be others, and the features of whole clips wrong by as much.
    After the passes with gradient: autocast keeps weights that it has cast, and those cast here have none.
    """
    if backbone.training and any(batch_norms([backbone])):
        backbone.forward_features(clips)
