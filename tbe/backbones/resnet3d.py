"""3D residual networks: R3D, R(2+1)D and the small network of the demos, in one class."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import Chain
from tbe.backbones.base import Triple, VideoBackbone, conv, conv_norm_relu, init_weights
from tbe.errors import UserError

EXPANSION = {"basic": 1, "bottleneck": 4}
# As in the released R(2+1)D networks, unlike the formula for the other layers.
STEM_MIDDLE = 45


class ResNet3D(VideoBackbone):
    """A residual network over space and time.

    layers, widths, temporal_strides, spatial_strides: one value per stage. Stage i has `widths[i]` output channels, 4
    times as many with block 'bottleneck'; F is that of the last stage.
    factorized: whether each 3D convolution becomes a spatial and a temporal one with about as many weights.
    split_all: with `factorized`, whether the stem, the shortcuts and each convolution of a block are factorized by
    their own sizes. The released networks have 45 channels within the stem, as many within the second convolution of a
    block as within its first, and unfactorized shortcuts.
    stem_pool: whether to halve T, H, W once more after the stem.
    width: that of the first stage if `widths` is not given; it doubles at each later stage.
    Raises UserError for invalid settings.

    R3D and R(2+1)D: Tran et al., CVPR 2018 (arXiv:1711.11248). R3D-50: Hara et al., CVPR 2018 (arXiv:1711.09577).
    """

    def __init__(
        self,
        block: str,
        layers: Sequence[int],
        widths: Sequence[int] | None = None,
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        stem_kernel: Sequence[int] = (3, 7, 7),
        stem_stride: Sequence[int] = (1, 2, 2),
        stem_pool: bool = False,
        factorized: bool = False,
        split_all: bool = False,
        in_channels: int = 3,
        width: int = 64,
    ) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(len(layers))] if widths is None else widths
        if block not in EXPANSION:
            raise UserError(f"ResNet3D: expected block to be one of {list(EXPANSION)}, got {block!r}")
        per_stage = {"widths": widths, "temporal_strides": temporal_strides, "spatial_strides": spatial_strides}
        for name, values in per_stage.items():
            if len(values) != len(layers):
                raise UserError(f"ResNet3D: expected {len(layers)} {name}, one for each stage, got {list(values)}")
        if split_all and not factorized:
            raise UserError("ResNet3D: expected factorized=true with split_all=true, got factorized=false")
        self.in_channels = in_channels
        self.num_features = widths[-1] * EXPANSION[block]
        stem = _stem(in_channels, widths[0], _triple(stem_kernel), _triple(stem_stride), factorized, split_all)
        self.stem = Chain(*stem)
        if stem_pool:
            self.stem.append(nn.MaxPool3d(3, stride=2, padding=1))

        make_block = {"basic": _basic, "bottleneck": _bottleneck}[block]
        self.stages = Chain()
        channels = widths[0]
        for num_blocks, width, time, space in zip(layers, widths, temporal_strides, spatial_strides, strict=True):
            stage = nn.Sequential()
            for index in range(num_blocks):
                stride = (time, space, space) if index == 0 else (1, 1, 1)
                stage.append(make_block(channels, width, stride, factorized, split_all))
                channels = width * EXPANSION[block]
            self.stages.append(stage)
        init_weights(self)

    def forward_features(self, clips: Tensor) -> Tensor:
        self.check(clips)
        return self.stages(self.stem(clips))


class Residual(nn.Module):
    """ReLU of the sum of a branch and a shortcut."""

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        # In place: the branch ends in a batch norm, whose backward pass does not read its output.
        return self.branch(maps).add_(self.shortcut(maps)).relu_()


def _basic(in_channels: int, width: int, stride: Triple, factorized: bool, split_all: bool) -> Residual:
    """Makes a block of two 3x3x3 convolutions."""
    middle = _middle(in_channels, width) if factorized else 0
    second_middle = _middle(width, width) if split_all else middle
    branch = nn.Sequential(
        _conv3(in_channels, width, stride, middle),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        _conv3(width, width, (1, 1, 1), second_middle),
        nn.BatchNorm3d(width),
    )
    return Residual(branch, _shortcut(in_channels, width, stride, split_all))


def _bottleneck(in_channels: int, width: int, stride: Triple, factorized: bool, split_all: bool) -> Residual:
    """Makes a block of a 3x3x3 convolution between two of 1x1x1."""
    out_channels = width * EXPANSION["bottleneck"]
    branch = nn.Sequential(
        conv_norm_relu(in_channels, width, 1),
        _conv3(width, width, stride, _middle(width, width) if factorized else 0),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        conv(width, out_channels, 1),
        nn.BatchNorm3d(out_channels),
    )
    return Residual(branch, _shortcut(in_channels, out_channels, stride, split_all))


def _shortcut(in_channels: int, out_channels: int, stride: Triple, split: bool) -> nn.Module:
    if in_channels == out_channels and stride == (1, 1, 1):
        return nn.Identity()
    if split:
        middle = _middle(in_channels, out_channels, (1, 1, 1))
        spatial = conv_norm_relu(in_channels, middle, 1, (1, *stride[1:]))
        return spatial.extend([conv(middle, out_channels, 1, (stride[0], 1, 1)), nn.BatchNorm3d(out_channels)])
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm3d(out_channels))


def _conv3(in_channels: int, out_channels: int, stride: Triple, middle: int) -> nn.Module:
    """Makes a 3x3x3 convolution; with `middle` channels, 1x3x3 into those and 3x1x1 out of them."""
    if not middle:
        return conv(in_channels, out_channels, 3, stride)
    spatial = conv_norm_relu(in_channels, middle, (1, 3, 3), (1, *stride[1:]))
    return spatial.append(conv(middle, out_channels, (3, 1, 1), (stride[0], 1, 1)))


def _middle(in_channels: int, out_channels: int, kernel: Triple = (3, 3, 3)) -> int:
    """Returns the channels between the halves of a factorized kernel that keep the number of weights (section 3.5)."""
    time, height, width = kernel
    area = height * width
    return (time * area * in_channels * out_channels) // (area * in_channels + time * out_channels)


def _stem(
    in_channels: int, width: int, kernel: Triple, stride: Triple, factorized: bool, split_all: bool
) -> nn.Sequential:
    if not factorized:
        return conv_norm_relu(in_channels, width, kernel, stride)
    middle = _middle(in_channels, width, kernel) if split_all else STEM_MIDDLE
    spatial = conv_norm_relu(in_channels, middle, (1, *kernel[1:]), (1, *stride[1:]))
    return spatial.extend(conv_norm_relu(middle, width, (kernel[0], 1, 1), (stride[0], 1, 1)))


def _triple(values: Sequence[int]) -> Triple:
    time, height, width = values
    return time, height, width
