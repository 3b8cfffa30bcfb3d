"""A backbone with a classification head."""

from __future__ import annotations

from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone


class Classifier(nn.Module):
    """Classifies clips (B, C, T, H, W) by a backbone, dropout and a linear layer: logits (B, num_classes)."""

    def __init__(self, backbone: VideoBackbone, num_classes: int, dropout: float = 0.5):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.num_features, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(self.dropout(self.backbone(clips)))
