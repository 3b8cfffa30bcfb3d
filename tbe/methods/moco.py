"""MoCo: momentum contrast over a queue, with optional extra negatives."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from tbe.distributed import gather, shuffle, unshuffle, world_size
from tbe.errors import UserError
from tbe.methods.base import Comparisons, Method, WeightedComparisons
from tbe.methods.encoder import Encoder
from tbe.methods.extra_negatives import ExtraNegatives, Negatives, Sources
from tbe.methods.float32_products import float32_products
from tbe.methods.key_queue import KeyQueue
from tbe.methods.moving_average import moving_average_of

BATCH_NORMS = ("shuffle", "sync", "none")

log = logging.getLogger(__name__)


class MoCo(Method):
    """Compares a query with its key, with the queue of earlier keys and, unless it is 'none', with extra negatives.

    Keys come from a moving average of the query encoder, in train mode. The extra negatives (`ExtraNegatives`, of
    weight `extra_weight` unless they have their own) are not queued: K is queue_size and their number.
    batch_norm: 'shuffle' shuffles the keys' batch over processes, so that batch statistics reveal nothing about the
    queries; 'sync' relies on synchronized batch norm, which the Trainer inserts; 'none' does nothing.
    He et al., CVPR 2020 (arXiv:1911.05722).
    """

    def __init__(
        self,
        encoder: Encoder,
        queue_size: int = 65536,
        momentum: float = 0.999,
        negative: Negatives = "none",
        batch_norm: str = "shuffle",
        extra_weight: float = 1.0,
    ):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(f"MoCo: expected a momentum from 0 to 1, got {momentum}")
        if batch_norm not in BATCH_NORMS:
            raise UserError(f"batch_norm: expected one of {', '.join(BATCH_NORMS)}, got {batch_norm!r}")
        self.encoder = encoder
        self.key_encoder = moving_average_of(encoder)
        self.queue = KeyQueue(queue_size, encoder.projector.dim)
        self.momentum = momentum
        self.extra_negatives = ExtraNegatives(negative, extra_weight)
        self.views = ("query", "key", *self.extra_negatives.views)
        self.reads_owners = self.extra_negatives.reads_owners
        self.batch_norm = batch_norm

    @property
    def backbone(self):
        return self.encoder.backbone

    def check_num_videos(self, num_videos: int) -> None:
        if len(self.queue) > num_videos:
            log.warning(
                "the queue of %d keys holds each of the %d training videos more than once, so that a video's "
                "earlier keys are its own negatives: set queue_size well below the number of videos",
                len(self.queue),
                num_videos,
            )

    def forward(
        self, query: Tensor, key: Tensor, negative: Tensor | None = None, owners: Tensor | None = None
    ) -> Comparisons | WeightedComparisons:
        queries = self.encoder(query)
        keys = self.encode_keys(key)
        with float32_products(queries.device):
            # A copy, because the queue changes before the backward pass reads it.
            earlier = queries @ self.queue.keys.clone().T
        usual = Comparisons((queries * keys).sum(dim=1), earlier)
        comparisons = self.extra_negatives(usual, self.encoder, queries, Sources(key, keys, negative, owners))
        self.queue.push(gather(keys))
        return comparisons

    @torch.no_grad()
    def encode_keys(self, key: Tensor) -> Tensor:
        """Embeds the key views with the moving-average encoder: (B, dim)."""
        if world_size() == 1 or self.batch_norm != "shuffle":
            return self.key_encoder(key)
        mixed, restore = shuffle(key)
        return unshuffle(self.key_encoder(mixed), restore)

    def after_loading(self) -> None:
        self.key_encoder.load_state_dict(self.encoder.state_dict())

    @torch.no_grad()
    def after_step(self) -> None:
        """Updates the key encoder, a moving average of the query encoder."""
        torch._foreach_lerp_(list(self.key_encoder.parameters()), list(self.encoder.parameters()), 1 - self.momentum)
