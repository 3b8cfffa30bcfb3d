"""Triplets: a query should be closer to its key than to other clips of its video and to other videos."""

from __future__ import annotations

import torch
from torch import Tensor

from tbe.distributed import previous_in_global_batch, world_size
from tbe.errors import UserError
from tbe.methods.base import Comparisons, Method
from tbe.methods.encoder import Encoder


class Triplet(Method):
    """Compares each query with its key, with another clip of its video and with a clip of another video.

    One encoder embeds all views, with gradient. Negatives (B, 2): from the same video (intra), then from the next video
    of the global batch (inter). Use with `losses.TripletMargin`. BE-triplet of Wang et al.
    (arXiv:2009.05769).
    """

    def __init__(self, encoder: Encoder, negative: str = "same_video"):
        super().__init__()
        if negative != "same_video":
            raise UserError(
                "negative: expected same_video with the triplet losses, which compare with another clip of the video "
                f"and one of another video, got {negative!r}"
            )
        self.encoder = encoder

    @property
    def backbone(self):  # described by Method
        return self.encoder.backbone

    def forward(self, query: Tensor, key: Tensor, negative: Tensor) -> Comparisons:
        if len(query) * world_size() < 2:
            raise UserError(f"Triplet: expected a batch of at least 2 videos over all processes, got {len(query)}")
        queries, keys, others = (self.encoder(view) for view in (query, key, negative))
        intra = (queries * others).sum(dim=1)
        inter = (queries * previous_in_global_batch(others)).sum(dim=1)
        return Comparisons((queries * keys).sum(dim=1), torch.stack([intra, inter], dim=1))
