"""I3D: the Inception network (GoogLeNet with batch norm) inflated over time."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import Chain
from tbe.backbones.base import VideoBackbone, conv_norm_relu, init_weights

# Channels of an Inception block: 1x1x1 | reduction, 3x3x3 | reduction, 3x3x3 | pooling, 1x1x1.
# Szegedy et al., CVPR 2015 (arXiv:1409.4842), table 1; its 5x5 filters became 3x3x3 here.
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
_unit = partial(conv_norm_relu, eps=1e-3)


class I3D(VideoBackbone):
    """Inflated Inception-v1 without its classifier; F = 1024.

    Time and space shrink 8 and 32 times, rounded up, with TensorFlow's 'same' padding, as in the released weights: if
    an odd number of cells is added, the extra one is at the end.
    Carreira and Zisserman, CVPR 2017 (arXiv:1705.07750), figure 3.
    """

    num_features = 1024

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.body = Chain(
            _SamePad(7, stride=2),
            _unit(in_channels, 64, 7, stride=2, padding=0),
            _SameMaxPool((1, 3, 3), (1, 2, 2)),
            _unit(64, 64, 1),
            _unit(64, 192, 3),
            _SameMaxPool((1, 3, 3), (1, 2, 2)),
        )
        channels = 192
        for name, widths in INCEPTION.items():
            if name == "4b":
                self.body.append(_SameMaxPool((3, 3, 3), (2, 2, 2)))
            elif name == "5b":
                self.body.append(_SameMaxPool((2, 2, 2), (2, 2, 2)))
            mixed = _Inception(channels, *widths)
            self.body.add_module(f"mixed_{name}", mixed)
            channels = mixed.num_channels
        init_weights(self)

    def forward_features(self, clips: Tensor) -> Tensor:
        self.check(clips)
        return self.body(clips)


class _Inception(nn.Module):
    """Four parallel branches, concatenated along the channels."""

    def __init__(self, channels: int, one: int, reduce_a: int, a: int, reduce_b: int, b: int, pooled: int) -> None:
        super().__init__()
        self.num_channels = one + a + b + pooled
        self.branches = nn.ModuleList(
            [
                _unit(channels, one, 1),
                nn.Sequential(_unit(channels, reduce_a, 1), _unit(reduce_a, a, 3)),
                nn.Sequential(_unit(channels, reduce_b, 1), _unit(reduce_b, b, 3)),
                nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), _unit(channels, pooled, 1)),
            ]
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class _SamePad(nn.Module):
    """Pads a clip with zeros, so that a convolution of this kernel and stride gives ceil(size / stride)."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, clips: Tensor) -> Tensor:
        # F.pad counts from the last axis.
        totals = [same_padding(size, self.kernel, self.stride) for size in reversed(clips.shape[2:])]
        return F.pad(clips, [pad for total in totals for pad in (total // 2, total - total // 2)])


class _SameMaxPool(nn.Module):
    """Max pooling that gives ceil(size / stride).

    `ceil_mode` stands for the extra cell at the end, which avoids a copy for padding.
    """

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        axes = zip(maps.shape[2:], self.kernel, self.stride, strict=True)
        front = [same_padding(*axis) // 2 for axis in axes]
        return F.max_pool3d(maps, self.kernel, self.stride, front, ceil_mode=True)


def same_padding(size: int, kernel: int, stride: int) -> int:
    """Returns the cells that TensorFlow's 'same' adds to an axis, half of them, rounded down, in front.

    Seven cells, kernel 3, stride 2: windows end at 1 3 5 7, the first begins at -1, so 2. Eight cells: 1, at the end.
    """
    num_windows = -(-size // stride)
    return max(0, (num_windows - 1) * stride + kernel - size)
