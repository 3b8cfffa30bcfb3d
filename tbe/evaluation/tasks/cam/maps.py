"""Activation maps: how much each position of a clip contributes to the network's output."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Titles of the kinds in pictures.
KINDS = {"class": "class activation", "energy": "energy of the features", "similarity": "similarity to the clip"}


def activation_maps(features: Tensor, head: nn.Linear | None, kind: str) -> Tensor:
    """Computes maps (B, t, h, w) of one of `KINDS` from feature maps (B, F, t, h, w)."""
    if kind == "class":
        if head is None:
            raise ValueError("cam: expected a head for class activation maps, got None")
        return class_activation(features, head, predicted_classes(features, head))
    return energy(features) if kind == "energy" else similarity(features)


def class_activation(features: Tensor, head: nn.Linear, classes: Tensor) -> Tensor:
    """Computes the contribution of each position to a class logit: mean over positions plus bias is the logit.

    CAM (Zhou et al., CVPR 2016, arXiv:1512.04150), over time as well: features (B, F, t, h, w), classes (B,).
    """
    return torch.einsum("bfthw,bf->bthw", features, head.weight[classes])


def predicted_classes(features: Tensor, head: nn.Linear) -> Tensor:
    """Returns the classes that a head predicts from pooled features: int64 (B,)."""
    return head(features.mean(dim=(2, 3, 4))).argmax(dim=1)


def energy(features: Tensor) -> Tensor:
    """Returns the norm of the feature vector at each position."""
    return features.norm(dim=1)


def similarity(features: Tensor) -> Tensor:
    """Returns the cosine of each position's feature vector and their mean over the clip."""
    return F.cosine_similarity(features, features.mean(dim=(2, 3, 4), keepdim=True), dim=1)


def foreground_share(maps: Tensor, foreground: Tensor) -> Tensor:
    """Returns the percentage (B,) of non-negative maps (B, T, H, W) that lies on a foreground bool (B, T, H, W).

    An all-zero map counts as uniform; nan without foreground.
    """
    maps = torch.where(maps.flatten(1).sum(dim=1).view(-1, 1, 1, 1) > 0, maps, 1.0).double()
    shares = 100 * (maps * foreground).flatten(1).sum(dim=1) / maps.flatten(1).sum(dim=1)
    return shares.masked_fill(~foreground.flatten(1).any(dim=1), torch.nan)


def stretch_to_unit_range(maps: Tensor) -> Tensor:
    """Rescales each map of (B, T, H, W) to [0, 1], for display."""
    low, high = maps.flatten(1).amin(dim=1), maps.flatten(1).amax(dim=1)
    spread = (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
    return (maps - low.view(-1, 1, 1, 1)) / spread.view(-1, 1, 1, 1)
