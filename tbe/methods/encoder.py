"""Encoders: a backbone followed by a head that projects its features."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError


class Projector(nn.Module):
    """Projects features (B, F) to embeddings (B, dim) by one linear layer, or an MLP with a hidden layer of width F.

    The linear layer is BE's (arXiv:2009.05769), the MLP MoCo v2's (Chen et al. 2020, arXiv:2003.04297), the MLP with
    `batch_norm` in its hidden layer BYOL's (arXiv:2006.07733).
    """

    def __init__(self, num_features: int, dim: int = 128, mlp: bool = False, batch_norm: bool = False):
        super().__init__()
        if batch_norm and not mlp:
            raise UserError("batch_norm of a projector: expected mlp=true, whose hidden layer it normalizes, got false")
        self.dim = dim
        hidden: list[nn.Module] = [nn.Linear(num_features, num_features)] if mlp else []
        hidden += [nn.BatchNorm1d(num_features)] if batch_norm else []
        hidden += [nn.ReLU(inplace=True)] if mlp else []
        self.layers = nn.Sequential(*hidden, nn.Linear(num_features, dim))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class Encoder(nn.Module):
    """Maps clips (B, C, T, H, W) to float32 embeddings (B, dim) of unit length."""

    def __init__(self, backbone: VideoBackbone, dim: int = 128, mlp: bool = False, batch_norm: bool = False):
        super().__init__()
        self.backbone = backbone
        self.projector = Projector(backbone.num_features, dim, mlp, batch_norm)

    def forward(self, clips: Tensor) -> Tensor:
        embeddings = self.projector(self.backbone(clips))
        # Outside autocast: half precision is too coarse for cosines at a temperature of 0.07.
        with torch.autocast(embeddings.device.type, enabled=False):
            return F.normalize(embeddings.float(), dim=1)


class Expander(nn.Module):
    """Maps clips (B, C, T, H, W) to float32 embeddings (B, dim) of any length: a backbone and an MLP.

    The MLP has `num_hidden` layers of width `hidden`, each with batch norm and ReLU, and a linear one. VICReg (arXiv:
    2105.04906) and LeJEPA (arXiv:2511.08544) both compare embeddings behind such a head.
    """

    def __init__(self, backbone: VideoBackbone, dim: int = 2048, hidden: int = 2048, num_hidden: int = 2):
        super().__init__()
        self.backbone = backbone
        self.dim = dim
        widths = [backbone.num_features, *[hidden] * num_hidden]
        layers: list[nn.Module] = []
        for width, following in pairwise(widths):
            layers += [nn.Linear(width, following, bias=False), nn.BatchNorm1d(following), nn.ReLU(inplace=True)]
        self.expander = nn.Sequential(*layers, nn.Linear(widths[-1], dim))

    def forward(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """Embeds clips; keep: indices (B, K) of the only tokens that a ViT sees of them."""
        # Only a ViT has tokens to keep, as `JointEmbedding` checks.
        features = self.backbone(clips) if keep is None else self.backbone.tokens(clips, keep).mean(dim=1)  # type: ignore
        return self.expander(features).float()
