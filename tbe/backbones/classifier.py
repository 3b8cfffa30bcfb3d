"""A backbone with a head that names the action."""

from __future__ import annotations

from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone


class Classifier(nn.Module):
    """A backbone with dropout and one linear layer: clips (B, C, T, H, W) to logits (B, num_classes)."""

    def __init__(self, backbone: VideoBackbone, num_classes: int, dropout: float = 0.5):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.num_features, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(self.dropout(self.backbone(clips)))
