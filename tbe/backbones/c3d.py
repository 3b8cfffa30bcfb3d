"""C3D: a network of eight 3x3x3 convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from tbe.backbones.activation_checkpointing import Chain
from tbe.backbones.base import VideoBackbone, conv, init_weights

# One entry for each of the five groups of convolutions, each followed by a pooling.
WIDTHS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class C3D(VideoBackbone):
    """The convolutions and the five poolings of C3D, without its two wide linear layers; F = 512.

    Features are the mean of pool5. A clip of 16x112x112 gives maps of 512x1x4x4, the 8192 values that the paper's fc6
    receives. Poolings round sizes up, so that short and small clips also work.

    batch_norm: whether a batch norm follows each convolution, in place of its bias. The paper has none.
    pool5: whether to apply the last pooling. Otherwise features are the mean of conv5b, as in public ports with
    batch norm.
    Tran et al., ICCV 2015 (arXiv:1412.0767).
    """

    num_features = 512

    def __init__(self, batch_norm: bool = True, pool5: bool = True, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.body = Chain()
        channels = in_channels
        for group, widths in enumerate(WIDTHS):
            for width in widths:
                self.body.append(conv(channels, width, 3, bias=not batch_norm))
                if batch_norm:
                    self.body.append(nn.BatchNorm3d(width))
                self.body.append(nn.ReLU(inplace=True))
                channels = width
            if group < 4 or pool5:
                # The first pooling keeps time: merging frames that early costs accuracy (section 3.1).
                self.body.append(nn.MaxPool3d((1, 2, 2) if group == 0 else 2, ceil_mode=True))
        init_weights(self)

    def forward_features(self, clips: Tensor) -> Tensor:
        self.check(clips)
        return self.body(clips)
