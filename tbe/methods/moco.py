"""Momentum contrast over a queue, with a negative from the same video."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor

from tbe.distributed import gather, shuffle, unshuffle, world_size
from tbe.methods.base import Comparisons, Method
from tbe.methods.encoder import Encoder
from tbe.methods.queue import KeyQueue

log = logging.getLogger(__name__)


class MoCo(Method):
    """Compares a query with its key, with the queue of earlier keys and with another clip of its video.

    Keys come from an encoder that follows the query encoder as a moving average, in train mode. The
    same-video negative goes through the query encoder with gradient and is not queued, so that
    appearance, which it shares with the query, does not help: K = queue_size + 1.
    He et al., CVPR 2020 (arXiv:1911.05722); the same-video negative after Wang et al. (arXiv:2009.05769).
    """

    def __init__(
        self,
        encoder: Encoder,
        queue_size: int = 65536,
        momentum: float = 0.999,
        same_video_negative: bool = True,
        shuffle_batch_norm: bool = True,
    ):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"MoCo: expected a momentum from 0 to 1, got {momentum}")
        self.encoder = encoder
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.queue = KeyQueue(queue_size, encoder.projector.layers[-1].out_features)
        self.momentum = momentum
        self.same_video_negative = same_video_negative
        self.shuffle_batch_norm = shuffle_batch_norm

    @property
    def backbone(self):
        return self.encoder.backbone

    def see_data(self, num_videos: int) -> None:
        if len(self.queue) > num_videos:
            log.warning(
                "the queue of %d keys holds each of the %d training videos more than once, so that earlier keys of a "
                "video are negatives of itself: set queue_size to well below the number of videos",
                len(self.queue),
                num_videos,
            )

    def forward(self, query: Tensor, key: Tensor, negative: Tensor) -> Comparisons:
        queries = self.encoder(query)
        keys = self.encode_keys(key)
        # The copy lets the queue move on before the backward pass has read it.
        negatives = queries @ self.queue.keys.clone().T
        if self.same_video_negative:
            others = self.encoder(negative)
            negatives = torch.cat([negatives, (queries * others).sum(dim=1, keepdim=True)], dim=1)
        self.queue.push(gather(keys))
        return Comparisons((queries * keys).sum(dim=1), negatives)

    @torch.no_grad()
    def encode_keys(self, key: Tensor) -> Tensor:
        """Embeddings (B, dim) of the key views by the moving average, batch norm mixed over processes."""
        if world_size() == 1 or not self.shuffle_batch_norm:
            return self.key_encoder(key)
        mixed, restore = shuffle(key)
        return unshuffle(self.key_encoder(mixed), restore)

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the key encoder towards the query encoder."""
        keys, queries = list(self.key_encoder.parameters()), list(self.encoder.parameters())
        torch._foreach_lerp_(keys, queries, 1 - self.momentum)
