"""BYOL: predicts the other view's embedding, without negatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.errors import UserError
from tbe.methods.base import Comparisons, Method
from tbe.methods.encoder import Encoder
from tbe.methods.moving_average import moving_average_of


class BYOL(Method):
    """Compares a prediction from each view with the other view's embedding, made by a moving average of the encoder.

    Returns positives (2B,) and no negatives (2B, 0). Use with `losses.CosineRegression`: its mean over both directions
    is half of the published sum. The momentum is constant, where the published one rises to 1 along a cosine, and the
    predictor reads projections of unit length, where the published one reads them as they are.
    Grill et al., NeurIPS 2020 (arXiv:2006.07733).
    """

    views = ("query", "key")

    def __init__(self, encoder: Encoder, hidden: int = 512, momentum: float = 0.996):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(f"BYOL: expected a momentum from 0 to 1, got {momentum}")
        dim = encoder.projector.dim
        self.encoder = encoder
        self.target = moving_average_of(encoder)
        self.predictor = nn.Sequential(
            nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim)
        )
        self.momentum = momentum

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(self, query: Tensor, key: Tensor) -> Comparisons:
        with torch.no_grad():
            targets = torch.cat([self.target(key), self.target(query)])
        predictions = torch.cat([self.predictor(self.encoder(view)) for view in (query, key)])
        positives = F.cosine_similarity(predictions.float(), targets, dim=1)
        return Comparisons(positives, positives.new_empty(len(positives), 0))

    def after_loading(self) -> None:
        self.target.load_state_dict(self.encoder.state_dict())

    @torch.no_grad()
    def after_step(self) -> None:
        """Updates the target encoder, a moving average of the encoder."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.encoder.parameters()), 1 - self.momentum)
