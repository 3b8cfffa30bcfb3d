"""The base class of all backbones, and the convolution layers that they are built from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn

from tbe.backbones.preprocessing import Preprocessing
from tbe.errors import UserError

Triple = tuple[int, int, int]  # along T, H and W
Size = int | Triple


class VideoBackbone(nn.Module, ABC):
    """A network from clips (B, C, T, H, W) to features (B, F).

    `num_features` is F. Clips may have any length and size of at least `min_size`, (T, H, W). `preprocessing`: that of
    the clips that it was trained on, None if unknown.
    """

    num_features: int
    in_channels: int = 3
    min_size: Triple = (1, 1, 1)
    preprocessing: Preprocessing | None = None

    @abstractmethod
    def forward_features(self, clips: Tensor) -> Tensor:
        """Returns feature maps (B, F, t, h, w). Implementations begin with `self.check(clips)`."""

    @final  # type: ignore[misc]  # torch declares forward as a variable
    def forward(self, clips: Tensor) -> Tensor:
        """Returns features (B, F): the mean of the feature maps over time and space."""
        return self.forward_features(clips).mean(dim=(2, 3, 4))

    @final
    def check(self, clips: Tensor) -> None:
        """Raises ValueError for clips of another rank or number of channels, or below `min_size`."""
        where, got = type(self).__name__, tuple(clips.shape)
        if clips.ndim != 5:
            raise ValueError(f"{where}: expected clips (B, C, T, H, W), got {clips.ndim} axes: {got}")
        if clips.shape[1] != self.in_channels:
            is_transposed = clips.shape[2] == self.in_channels
            hint = ". It looks like (B, T, C, H, W): pass clips.transpose(1, 2)" if is_transposed else ""
            raise UserError(f"{where}: expected {self.in_channels} channels in (B, C, T, H, W), got {got}{hint}")
        if any(size < minimum for size, minimum in zip(clips.shape[2:], self.min_size, strict=True)):
            raise UserError(f"{where}: expected (T, H, W) of at least {self.min_size}, got {got[2:]}")


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel: Size, stride: Size = 1, padding: Size | None = None, eps: float = 1e-5
) -> nn.Sequential:
    """Makes a convolution without bias, a batch norm and a ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, stride, padding),
        nn.BatchNorm3d(out_channels, eps=eps),
        nn.ReLU(inplace=True),
    )


def conv(
    in_channels: int,
    out_channels: int,
    kernel: Size,
    stride: Size = 1,
    padding: Size | None = None,
    bias: bool = False,
) -> nn.Conv3d:
    """Makes a convolution; at stride 1 an odd kernel keeps the size unless `padding` is given."""
    if padding is None:
        padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(in_channels, out_channels, kernel, stride, padding, bias=bias)


def init_weights(network: nn.Module) -> None:
    """Initializes convolutions with normal weights of variance 2 / fan-out (He et al., ICCV 2015) and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
