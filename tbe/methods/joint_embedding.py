"""Joint embedding without negatives: one network embeds all views of a video, and the loss does the rest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tbe.backbones.vit import ViT
from tbe.errors import UserError
from tbe.methods.base import VIEWS, Embeddings, Method
from tbe.methods.encoder import Expander


class JointEmbedding(Method):
    """Embeds the query and the key, and with `another_clip` other frames of the video, by the same network.

    token_drop: the share of the tokens of each view that a ViT does not see in training, drawn at random: a step takes
    less time and memory, and views differ by more. LeVJEPA, the form of LeJEPA for video (arXiv:2608.27395), drops
    tokens, too; its settings are not taken over. No negatives, queue, moving average or predictor: `VICRegLoss` and
    `LeJEPALoss` keep the embeddings from becoming all alike. VICReg: Bardes et al., ICLR 2022 (arXiv:2105.04906);
    LeJEPA: Balestriero and LeCun 2025 (arXiv:2511.08544).
    """

    def __init__(self, encoder: Expander, another_clip: bool = False, token_drop: float = 0.0):
        super().__init__()
        if not 0 <= token_drop < 1:
            raise UserError(f"method.token_drop: expected a share from 0 to below 1, got {token_drop}")
        if token_drop and not isinstance(encoder.backbone, ViT):
            raise UserError(
                f"method.token_drop={token_drop}: expected a backbone of tokens (backbone=vit_...), got "
                f"{type(encoder.backbone).__name__}: choose one, or token_drop=0"
            )
        self.encoder = encoder
        self.token_drop = token_drop
        self.seen_share = 1 - token_drop
        self.views = VIEWS if another_clip else VIEWS[:2]

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(self, *views: Tensor) -> Embeddings:
        return Embeddings(torch.stack([self.encoder(view, self._kept(view)) for view in views]))

    def _kept(self, clips: Tensor) -> Tensor | None:
        """Draws which tokens of clips (B, C, T, H, W) to see, int64 (B, K), at least one; None for all."""
        if not self.token_drop:
            return None
        tokens = math.prod(self.backbone.grid_of(clips))
        number = max(1, round((1 - self.token_drop) * tokens))
        return torch.rand(len(clips), tokens, device=clips.device).argsort(dim=1)[:, :number]
