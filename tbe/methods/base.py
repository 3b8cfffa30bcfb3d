"""What a pretraining method is: views in, comparisons out."""

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


class Predictions(NamedTuple):
    """Scores (B, choices) in float32 of what a pretext task did to each query, and what it did (B,)."""

    logits: Tensor
    targets: Tensor


class Method(nn.Module, ABC):
    """Maps the views of a batch to comparisons or predictions, which a loss maps to a number.

    `backbone` is the network that pretraining is for: the only part that evaluation keeps. `views` are those that the
    method reads; others are neither decoded nor augmented for it.
    """

    backbone: VideoBackbone
    views: tuple[str, ...] = VIEWS

    @abstractmethod
    def forward(self, *views: Tensor) -> Comparisons | Predictions:
        """Compares its `views`, each (B, C, T, H, W): key shows the query's frames, negative others of its video."""

    def check_num_videos(self, num_videos: int) -> None:
        """Called before training with the number of videos, for a method to warn of settings that don't suit it."""

    def after_step(self) -> None:
        """Called after each step of the optimizer (not each micro-batch of an accumulated one)."""
