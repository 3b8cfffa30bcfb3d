"""AdamW as vision transformers are trained: weights alone decay, and early layers learn more slowly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from tbe.backbones.vit import ViT
from tbe.errors import UserError

SCALE = "lr_scale"  # of the learning rate of a group
DECAYS = "decays"  # whether the weights of a group decay


@dataclass(frozen=True)
class GroupedAdamW:
    """AdamW whose weight decay leaves out norms, biases, positions and tokens: all but weights of layers.

    layer_decay: each layer of a ViT learns at this fraction of the rate of the one above it, its tubelets slowest
    (Clark et al., ICLR 2020, arXiv:2003.10555, as in BEiT and VideoMAE). What is above the backbone, and with 1 all,
    learns at `lr`. Raises UserError for a layer_decay below 1 with another backbone.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    betas: Sequence[float] = (0.9, 0.999)
    layer_decay: float = 1.0
    fused: bool | None = None

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"optimizer.layer_decay: expected a number in (0, 1], got {self.layer_decay}")

    @property
    def keywords(self) -> dict[str, Any]:
        """Returns what the config says of the kernel, as a `partial` of an optimizer does."""
        return {"fused": self.fused}

    def __call__(self, parameters: Iterable[Any], fused: bool | None = None) -> Optimizer:
        """Builds the optimizer of parameters or groups."""
        first, second = self.betas
        return torch.optim.AdamW(
            parameters, lr=self.lr, betas=(first, second), weight_decay=self.weight_decay, fused=fused or self.fused
        )

    def groups(self, network: nn.Module, backbone: nn.Module) -> list[dict[str, Any]]:
        """Returns the groups of the trainable parameters of a network: by whether they decay, and by layer."""
        decaying = decaying_weights(network)
        scales = self._scales(backbone)
        found: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for value in network.parameters():
            if value.requires_grad:
                found.setdefault((scales.get(id(value), 1.0), id(value) in decaying), []).append(value)
        return [
            {
                "params": values,
                "lr": self.lr * scale,
                "weight_decay": self.weight_decay if decays else 0.0,
                SCALE: scale,
                DECAYS: decays,
            }
            for (scale, decays), values in sorted(found.items(), key=lambda item: item[0])
        ]

    def _scales(self, backbone: nn.Module) -> dict[int, float]:
        if self.layer_decay == 1:
            return {}
        if not isinstance(backbone, ViT):
            raise UserError(
                f"optimizer.layer_decay: expected 1 with {type(backbone).__name__}, whose layers are not counted, got "
                f"{self.layer_decay}. Set optimizer.layer_decay=1, or choose a ViT"
            )
        top = len(backbone.blocks) + 1
        return {
            id(value): self.layer_decay ** (top - backbone.layer_of(name))
            for name, value in backbone.named_parameters()
        }


def decaying_weights(network: nn.Module) -> set[int]:
    """Returns the ids of the weights of all linear layers and convolutions."""
    layers = (module for module in network.modules() if isinstance(module, (nn.Linear, _ConvNd)))
    return {id(layer.weight) for layer in layers}
