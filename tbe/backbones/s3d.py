"""S3D: Inception with each 3D convolution split into a spatial and a temporal one; S3D-G adds gates."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import Chain
from tbe.backbones.base import VideoBackbone, conv_norm_relu, init_weights

# Channels of an Inception block: 1x1x1 | reduction, separable 3 | reduction, separable 3 | pooling, 1x1x1.
# Szegedy et al., CVPR 2015 (arXiv:1409.4842), table 1.
INCEPTION = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
# Batch norms keep torch's momentum: the original's 0.001 needs thousands of steps to forget its initial values.
_unit = partial(conv_norm_relu, eps=1e-3)


class S3D(VideoBackbone):
    """Separable 3D Inception without its classifier; F = 1024.

    Time and space shrink 8 and 32 times, rounded up. Convolutions pad both ends equally, as torchvision's do.
    gating: whether a gate follows each temporal convolution (S3D-G). Some public ports gate every branch instead.
    Xie et al., ECCV 2018 (arXiv:1712.04851).
    """

    num_features = 1024

    def __init__(self, gating: bool = False, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.body = Chain(
            _separable(in_channels, 64, 7, 2, gating),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            _unit(64, 64, 1),
            _separable(64, 192, 3, 1, gating),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        channels = 192
        for name, widths in INCEPTION.items():
            if name == "4b":
                self.body.append(nn.MaxPool3d(3, stride=2, padding=1))
            elif name == "5b":
                # Rounding up allows clips below 5x17x17 and has no effect at multiples of 8x32x32.
                self.body.append(nn.MaxPool3d(2, stride=2, ceil_mode=True))
            mixed = _Inception(channels, *widths, gating)
            self.body.add_module(f"mixed_{name}", mixed)
            channels = mixed.num_channels
        init_weights(self)

    def forward_features(self, clips: Tensor) -> Tensor:
        self.check(clips)
        return self.body(clips)


class _Inception(nn.Module):
    """Four parallel branches, concatenated along the channels."""

    def __init__(
        self, channels: int, one: int, reduce_a: int, a: int, reduce_b: int, b: int, pooled: int, gating: bool
    ) -> None:
        super().__init__()
        self.num_channels = one + a + b + pooled
        self.branches = nn.ModuleList(
            [
                _unit(channels, one, 1),
                nn.Sequential(_unit(channels, reduce_a, 1), _separable(reduce_a, a, 3, 1, gating)),
                nn.Sequential(_unit(channels, reduce_b, 1), _separable(reduce_b, b, 3, 1, gating)),
                nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), _unit(channels, pooled, 1)),
            ]
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class _Gate(nn.Module):
    """Weights each channel by a sigmoid of a linear map of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.linear(maps.mean(dim=(2, 3, 4))).sigmoid()[:, :, None, None, None]


def _separable(in_channels: int, out_channels: int, kernel: int, stride: int, gating: bool) -> nn.Sequential:
    """Makes a spatial convolution, then a temporal one."""
    layers = nn.Sequential(
        _unit(in_channels, out_channels, (1, kernel, kernel), (1, stride, stride)),
        _unit(out_channels, out_channels, (kernel, 1, 1), (stride, 1, 1)),
    )
    return layers.append(_Gate(out_channels)) if gating else layers
