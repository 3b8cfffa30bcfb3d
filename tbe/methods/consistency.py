"""The consistency of features with and without the added background, as a regulariser of any method."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError


class Consistency(nn.Module):
    """weight * MSE(F(x~), F(x)): a distracted clip should have the features of the clip itself.

    features: pooled over space and time. With `temporal_inversion` the distracted clip is played backwards, and its
    features, pooled over space alone and turned back in time, are compared: the first version's form (TBE). The
    clip's own features carry gradient too. Wang et al. (arXiv:2009.05769). The published text leaves the weight and
    the pooling of the later version open; ours are 1 and the mean.
    """

    def __init__(self, weight: float = 1.0, temporal_inversion: bool = False):
        super().__init__()
        if weight < 0:
            raise UserError(f"Consistency: expected a weight of at least 0, got {weight}")
        self.weight = weight
        self.temporal_inversion = temporal_inversion

    def forward(self, backbone: VideoBackbone, distracted: Tensor, clips: Tensor) -> Tensor:
        """The penalty for clips (B, C, T, H, W) and their distracted versions: a scalar."""
        if not self.temporal_inversion:
            return self.weight * F.mse_loss(backbone(distracted), backbone(clips))
        inverted = backbone.forward_features(distracted.flip(2)).mean(dim=(3, 4))  # (B, F, t)
        return self.weight * F.mse_loss(inverted.flip(2), backbone.forward_features(clips).mean(dim=(3, 4)))
