"""Encoder: a backbone followed by a projection head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone


class Projector(nn.Module):
    """Projects features (B, F) to embeddings (B, dim) by one linear layer, or an MLP with a hidden layer of width F.

    The linear layer is BE's (arXiv:2009.05769), the MLP MoCo v2's (Chen et al. 2020, arXiv:2003.04297).
    """

    def __init__(self, num_features: int, dim: int = 128, mlp: bool = False):
        super().__init__()
        self.dim = dim
        hidden = [nn.Linear(num_features, num_features), nn.ReLU(inplace=True)] if mlp else []
        self.layers = nn.Sequential(*hidden, nn.Linear(num_features, dim))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class Encoder(nn.Module):
    """Maps clips (B, C, T, H, W) to float32 embeddings (B, dim) of unit length."""

    def __init__(self, backbone: VideoBackbone, dim: int = 128, mlp: bool = False):
        super().__init__()
        self.backbone = backbone
        self.projector = Projector(backbone.num_features, dim, mlp)

    def forward(self, clips: Tensor) -> Tensor:
        embeddings = self.projector(self.backbone(clips))
        # Outside autocast: half precision is too coarse for cosines at a temperature of 0.07.
        with torch.autocast(embeddings.device.type, enabled=False):
            return F.normalize(embeddings.float(), dim=1)
