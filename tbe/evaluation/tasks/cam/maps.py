"""Activation maps: how much each place of a clip has to do with what the network makes of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What a map shows, as pictures call it.
KINDS = {"class": "class activation", "energy": "energy of the features", "similarity": "similarity to the clip"}


def activation_maps(features: Tensor, head: nn.Linear | None, kind: str) -> Tensor:
    """Maps (B, t, h, w) of one of `KINDS` from feature maps (B, F, t, h, w)."""
    if kind == "class":
        if head is None:
            raise ValueError("cam: expected a head for the map of a class, got None")
        return class_activation(features, head, predicted_classes(features, head))
    return energy(features) if kind == "energy" else similarity(features)


def class_activation(features: Tensor, head: nn.Linear, classes: Tensor) -> Tensor:
    """What each place adds to the logit of a class: the mean over places, and the bias, give the logit.

    CAM (Zhou et al., CVPR 2016, arXiv:1512.04150), over time as well: features (B, F, t, h, w), classes (B,).
    """
    return torch.einsum("bfthw,bf->bthw", features, head.weight[classes])


def predicted_classes(features: Tensor, head: nn.Linear) -> Tensor:
    """What a head makes of pooled features: int64 (B,)."""
    return head(features.mean(dim=(2, 3, 4))).argmax(dim=1)


def energy(features: Tensor) -> Tensor:
    """The length of the feature vector of each place."""
    return features.norm(dim=1)


def similarity(features: Tensor) -> Tensor:
    """The cosine of each place's feature vector and that of the whole clip, their mean."""
    return F.cosine_similarity(features, features.mean(dim=(2, 3, 4), keepdim=True), dim=1)


def foreground_share(maps: Tensor, foreground: Tensor) -> Tensor:
    """How much of maps (B, T, H, W), none of them negative, lies on a foreground bool (B, T, H, W), in percent: (B,).

    A map that is zero everywhere counts as one that is spread evenly; nan where there is no foreground.
    """
    maps = torch.where(maps.flatten(1).sum(dim=1).view(-1, 1, 1, 1) > 0, maps, 1.0).double()
    shares = 100 * (maps * foreground).flatten(1).sum(dim=1) / maps.flatten(1).sum(dim=1)
    return shares.masked_fill(~foreground.flatten(1).any(dim=1), torch.nan)


def stretch_to_unit_range(maps: Tensor) -> Tensor:
    """Maps (B, T, H, W), each stretched to fill [0, 1]: for the eye, that sees differences."""
    low, high = maps.flatten(1).amin(dim=1), maps.flatten(1).amax(dim=1)
    spread = (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
    return (maps - low.view(-1, 1, 1, 1)) / spread.view(-1, 1, 1, 1)
