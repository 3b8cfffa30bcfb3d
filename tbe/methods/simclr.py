"""SimCLR: contrasts each view with all other views of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tbe.distributed import gather_with_gradient, rank, world_size
from tbe.errors import UserError
from tbe.methods.base import Comparisons, Method, WeightedComparisons
from tbe.methods.encoder import Encoder
from tbe.methods.extra_negatives import ExtraNegatives, Negatives, Sources
from tbe.methods.float32_products import float32_products


class SimCLR(Method):
    """Compares queries and keys of a video with each other and with the views of all other videos.

    Both views are embedded with gradient and each serves as query, which gives 2B positives; negatives are the 2(B - 1)
    views of other videos over all processes, and the extra negatives if there are any (`ExtraNegatives`).
    Chen et al., ICML 2020 (arXiv:2002.05709).
    """

    def __init__(self, encoder: Encoder, negative: Negatives = "none", extra_weight: float = 1.0):
        super().__init__()
        self.encoder = encoder
        self.extra_negatives = ExtraNegatives(negative, extra_weight)
        self.views = ("query", "key", *self.extra_negatives.views)
        self.reads_owners = self.extra_negatives.reads_owners

    @property
    def backbone(self):  # see Method
        return self.encoder.backbone

    def forward(
        self, query: Tensor, key: Tensor, negative: Tensor | None = None, owners: Tensor | None = None
    ) -> Comparisons | WeightedComparisons:
        batch = len(query)
        if batch * world_size() < 2:
            raise UserError(f"SimCLR: expected a batch of at least 2 videos over all processes, got {batch}")
        views = torch.stack([self.encoder(query), self.encoder(key)])  # (2, B, D)
        everyone = gather_with_gradient(views.transpose(0, 1))  # (all B, 2, D)
        with float32_products(views.device):
            similarities = torch.einsum("vbd,awd->vbaw", views, everyone)  # (2, B, all B, 2)
        mine = torch.arange(batch, device=query.device).unsqueeze(1) + rank() * batch
        # Indices of all other videos: a boolean mask would synchronize with the device to count its entries.
        others = torch.arange(len(everyone) - 1, device=query.device).expand(batch, -1)
        others = (others + (others >= mine))[None, :, :, None].expand(2, -1, -1, 2)
        negatives = similarities.gather(2, others).view(2 * batch, -1)
        usual = Comparisons((views[0] * views[1]).sum(dim=1).repeat(2), negatives)
        sources = Sources(key, views[1], negative, owners)
        return self.extra_negatives(usual, self.encoder, views.flatten(0, 1), sources)
