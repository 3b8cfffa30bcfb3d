"""The interface of a pretraining method: it maps views of videos to comparisons, predictions or embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone

VIEWS = ("query", "key", "negative")


class Comparisons(NamedTuple):
    """Cosine similarities in float32: each query with its positive (B,) and with its negatives (B, K)."""

    positives: Tensor
    negatives: Tensor


class WeightedComparisons(NamedTuple):
    """Comparisons whose negatives have weights, float32 (K,): each counts as so many equal ones."""

    positives: Tensor
    negatives: Tensor
    weights: Tensor


class Predictions(NamedTuple):
    """Float32 scores (B, choices) of the transformation applied to each query, and the true choices (B,)."""

    logits: Tensor
    targets: Tensor


class Embeddings(NamedTuple):
    """Float32 embeddings (views, B, D) of each view of each video, of any length."""

    views: Tensor


class Reconstructions(NamedTuple):
    """Float32 predictions (B, M, D) of M masked places of each clip, and what is there."""

    predictions: Tensor
    targets: Tensor


class Method(nn.Module, ABC):
    """Maps the views of a batch to comparisons, predictions or embeddings, which a loss turns into a scalar.

    `backbone` is the pretrained network, the only part kept for evaluation. `views` names the views that the method
    reads; others are neither decoded nor augmented. `reads_owners`: whether it takes `owners` (B, k), the videos of the
    batch whose frames a distractor added to the queries, as a further argument. `reads_clean`: whether it takes
    `clean`, the queries without the distractor. `seen_share`: the share of a clip's tokens that a step encodes, where
    the network leaves the others out.
    """

    backbone: VideoBackbone
    views: tuple[str, ...] = VIEWS
    reads_owners = False
    reads_clean = False
    seen_share = 1.0

    @abstractmethod
    def forward(self, *views: Tensor) -> Comparisons | WeightedComparisons | Predictions | Embeddings | Reconstructions:
        """Compares its `views`, each (B, C, T, H, W): the key has the query's frames, the negative its video."""

    def check_num_videos(self, num_videos: int) -> None:
        """Warns, before training starts, of settings that do not suit the number of training videos."""

    def after_loading(self) -> None:
        """Runs when `backbone` got weights from elsewhere, before training: moving averages begin as copies of them."""

    def after_step(self) -> None:
        """Runs after each optimizer step (not after each accumulated micro-batch)."""
