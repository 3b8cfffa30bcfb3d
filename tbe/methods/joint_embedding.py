"""Joint embedding without negatives: one network embeds all views of a video, and the loss does the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from tbe.methods.base import VIEWS, Embeddings, Method
from tbe.methods.encoder import Expander


class JointEmbedding(Method):
    """Embeds the query and the key, and with `another_clip` other frames of the video, by the same network.

    No negatives, queue, moving average or predictor: `VICRegLoss` and `LeJEPALoss` keep the embeddings from becoming
    all alike. VICReg: Bardes et al., ICLR 2022 (arXiv:2105.04906); LeJEPA: Balestriero and LeCun 2025
    (arXiv:2511.08544).
    """

    def __init__(self, encoder: Expander, another_clip: bool = False):
        super().__init__()
        self.encoder = encoder
        self.views = VIEWS if another_clip else VIEWS[:2]

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(self, *views: Tensor) -> Embeddings:
        return Embeddings(torch.stack([self.encoder(view) for view in views]))
