"""Consistency regularizer for any method: features should not change when a background is added."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tbe.augment.turned import reverse
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError


class Consistency(nn.Module):
    """Computes weight * MSE(F(x~), F(x)): a distracted clip should have the features of the original clip.

    Features are pooled over space and time. With `temporal_inversion`, the form of the first version of the paper
    (TBE), the distracted clip is played backwards and its features, pooled over space only, are reversed in time and
    compared. Gradients flow through both clips. Wang et al. (arXiv:2009.05769). The paper does not state the weight
    and the pooling of the later version; ours are 1 and the mean.
    """

    def __init__(self, weight: float = 1.0, temporal_inversion: bool = False):
        super().__init__()
        if weight < 0:
            raise UserError(f"Consistency: expected a weight of at least 0, got {weight}")
        self.weight = weight
        self.temporal_inversion = temporal_inversion

    def forward(self, backbone: VideoBackbone, distracted: Tensor, clips: Tensor) -> Tensor:
        """Returns the penalty, a scalar, for clips (B, C, T, H, W) and their distracted versions."""
        if not self.temporal_inversion:
            return self.weight * F.mse_loss(backbone(distracted), backbone(clips))
        inverted = backbone.forward_features(reverse(distracted)).mean(dim=(3, 4))  # (B, F, t)
        return self.weight * F.mse_loss(inverted.flip(2), backbone.forward_features(clips).mean(dim=(3, 4)))
