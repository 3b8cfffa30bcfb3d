"""MoCo: momentum contrast over a queue, with an optional extra negative."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor

from tbe.distributed import gather, shuffle, unshuffle, world_size
from tbe.errors import UserError
from tbe.methods.base import Comparisons, Method
from tbe.methods.encoder import Encoder
from tbe.methods.extra_negative import ExtraNegative
from tbe.methods.key_queue import KeyQueue

BATCH_NORMS = ("shuffle", "sync", "none")

log = logging.getLogger(__name__)


class MoCo(Method):
    """Compares a query with its key, with the queue of earlier keys and, unless it is 'none', with an extra negative.

    Keys come from a moving average of the query encoder, in train mode. The extra negative (`ExtraNegative`) goes
    through the query encoder and is not queued: K = queue_size + 1, or queue_size without it.
    batch_norm: 'shuffle' shuffles the keys' batch over processes, so that batch statistics reveal nothing about the
    queries; 'sync' relies on synchronized batch norm, which the Trainer inserts; 'none' does nothing.
    He et al., CVPR 2020 (arXiv:1911.05722).
    """

    def __init__(
        self,
        encoder: Encoder,
        queue_size: int = 65536,
        momentum: float = 0.999,
        negative: str = "none",
        batch_norm: str = "shuffle",
    ):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(f"MoCo: expected a momentum from 0 to 1, got {momentum}")
        if batch_norm not in BATCH_NORMS:
            raise UserError(f"batch_norm: expected one of {', '.join(BATCH_NORMS)}, got {batch_norm!r}")
        self.encoder = encoder
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.queue = KeyQueue(queue_size, encoder.projector.dim)
        self.momentum = momentum
        self.extra_negative = ExtraNegative(negative)
        self.views = ("query", "key", *self.extra_negative.views)
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

    def forward(self, query: Tensor, key: Tensor, negative: Tensor | None = None) -> Comparisons:
        queries = self.encoder(query)
        keys = self.encode_keys(key)
        # Outside autocast: half precision is too coarse for cosines at a temperature of 0.07.
        with torch.autocast(queries.device.type, enabled=False):
            # A copy, because the queue changes before the backward pass reads it.
            earlier = queries @ self.queue.keys.clone().T
        extra = self.extra_negative(self.encoder, queries, negative)
        self.queue.push(gather(keys))
        return Comparisons((queries * keys).sum(dim=1), torch.cat([earlier, extra], dim=1))

    @torch.no_grad()
    def encode_keys(self, key: Tensor) -> Tensor:
        """Embeds the key views with the moving-average encoder: (B, dim)."""
        if world_size() == 1 or self.batch_norm != "shuffle":
            return self.key_encoder(key)
        mixed, restore = shuffle(key)
        return unshuffle(self.key_encoder(mixed), restore)

    @torch.no_grad()
    def after_step(self) -> None:
        """Updates the key encoder, a moving average of the query encoder."""
        torch._foreach_lerp_(list(self.key_encoder.parameters()), list(self.encoder.parameters()), 1 - self.momentum)
