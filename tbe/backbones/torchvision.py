"""Torchvision's video networks, with or without its Kinetics-400 weights."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.video import S3D, MViT, SwinTransformer3d, VideoResNet

from tbe.backbones.activation_checkpointing import Chain, recompute
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError


class TorchvisionBackbone(VideoBackbone):
    """A network of `torchvision.models.video` without its classifier.

    name: a key of `BODIES`. weights: None for random weights, else a name such as 'KINETICS400_V1' or 'DEFAULT',
    downloaded at first use. Further arguments go to torchvision's function `name`. Without the fixed pooling of s3d and
    the fixed clip size of mvit_v2_s, clips may have any size, for s3d from 5x17x17. Raises UserError for unknown names.
    """

    def __init__(self, name: str, weights: str | None = None, **kwargs) -> None:
        super().__init__()
        if name not in BODIES:
            raise UserError(f"TorchvisionBackbone: expected name to be one of {list(BODIES)}, got {name!r}")
        known = list(torchvision.models.get_model_weights(name).__members__)
        if weights not in (None, *known):
            raise UserError(
                f"TorchvisionBackbone: expected weights of {name} to be None or of {known}, got {weights!r}"
            )
        self.body = BODIES[name](torchvision.models.get_model(name, weights=weights, **kwargs))
        self.num_features = NUM_FEATURES[name]
        if name == "s3d":
            self.min_size = (5, 17, 17)

    def forward_features(self, clips: Tensor) -> Tensor:
        self.check(clips)
        return self.body(clips)


class _Swin(nn.Module):
    """The stages of a Video Swin Transformer, with the output's channels moved first."""

    def __init__(self, network: SwinTransformer3d) -> None:
        super().__init__()
        self.stages = Chain(network.patch_embed, network.pos_drop, network.features, network.norm)

    def forward(self, clips: Tensor) -> Tensor:
        return self.stages(clips).permute(0, 4, 1, 2, 3)


class _MViT(nn.Module):
    """The blocks of an MViT, whose class token takes part in attention and is dropped at the end."""

    recomputed = False  # as in Chain

    def __init__(self, network: MViT) -> None:
        super().__init__()
        self.conv_proj = network.conv_proj
        self.pos_encoding = network.pos_encoding
        self.blocks = network.blocks
        self.norm = network.norm

    def forward(self, clips: Tensor) -> Tensor:
        tokens, size = self.tokens(clips)
        return tokens[:, 1:].transpose(1, 2).unflatten(2, size)

    def tokens(self, clips: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Returns the tokens (B, 1 + t * h * w, F), the class token first, and their size (t, h, w)."""
        patches = self.conv_proj(clips)
        # The size of these clips, not of the constructor: relative positions are interpolated to any size.
        size = tuple(patches.shape[2:])
        tokens = self.pos_encoding(patches.flatten(2).transpose(1, 2))
        recomputed = self.recomputed and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            if recomputed:
                tokens, size = recompute([_WhereTokensAre(block)], tokens, size)
            else:
                with _where(tokens):
                    tokens, size = block(tokens, size)
        return self.norm(tokens), size


class _WhereTokensAre(nn.Module):
    """A block as `recompute` runs it, in the backward pass once more."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, size: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        with _where(tokens):
            return self.block(tokens, size)


def _where(tokens: Tensor) -> AbstractContextManager:
    """A context that makes new tensors on the GPU of these, and so the tables of relative positions of a block.

    torchvision makes three for each block wherever new tensors are made. On the CPU the host would wait for the copy
    of each: 48 times in a forward pass.
    """
    is_on_gpu = tokens.is_cuda and not torch.compiler.is_compiling()
    return tokens.device if is_on_gpu else nullcontext()  # type: ignore[return-value]  # a device is such a context


def _resnet(network: VideoResNet) -> nn.Module:
    return Chain(network.stem, network.layer1, network.layer2, network.layer3, network.layer4)


def _s3d(network: S3D) -> nn.Module:
    return Chain(*network.features)


BODIES = {
    "r3d_18": _resnet,
    "mc3_18": _resnet,
    "r2plus1d_18": _resnet,
    "s3d": _s3d,
    "mvit_v1_b": _MViT,
    "mvit_v2_s": _MViT,
    "swin3d_t": _Swin,
    "swin3d_s": _Swin,
    "swin3d_b": _Swin,
}
NUM_FEATURES = {"r3d_18": 512, "mc3_18": 512, "r2plus1d_18": 512, "s3d": 1024}
NUM_FEATURES |= {"mvit_v1_b": 768, "mvit_v2_s": 768, "swin3d_t": 768, "swin3d_s": 768, "swin3d_b": 1024}
