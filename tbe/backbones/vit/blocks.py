"""Transformer blocks: attention of all tokens to all, and a perceptron of two layers for each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from tbe.backbones.activation_checkpointing import recompute
from tbe.backbones.vit.positions import Rotation, rotate
from tbe.errors import UserError

EPS = 1e-6  # of layer norms, that of VideoMAE and V-JEPA


class Blocks(nn.ModuleList):
    """`depth` blocks on tokens (B, N, width), without the layer norm that follows them.

    drop_path: the probability, for each clip, that the last block is skipped; it rises from 0 at the first.
    """

    recomputed = False  # as in tbe.backbones.activation_checkpointing.Chain

    def __init__(self, depth: int, width: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        check_sizes(width, depth, heads)
        super().__init__(Block(width, heads, int(width * mlp_ratio)) for _ in range(depth))
        self.set_drop_path(drop_path)

    def set_drop_path(self, rate: float) -> None:
        """Sets the probability that the last block is skipped."""
        if not 0 <= rate < 1:
            raise UserError(f"ViT: expected drop_path in [0, 1), got {rate}")
        for place, block in enumerate(self):
            block.drop_path.p = rate * place / (len(self) - 1) if len(self) > 1 else rate

    def forward(self, tokens: Tensor, by: Rotation | None = None) -> Tensor:
        """Returns tokens of the same shape. by: the rotation of queries and keys, if positions are not added."""
        recomputed = self.recomputed and self.training and torch.is_grad_enabled()
        for block in self:
            tokens = recompute([block], tokens, by) if recomputed else block(tokens, by)
        return tokens


def check_sizes(width: int, depth: int, heads: int) -> None:
    """Raises UserError for sizes that make no transformer."""
    if width < 1 or depth < 1 or heads < 1 or width % heads:
        raise UserError(
            "transformer: expected width, depth and heads of at least 1, and heads that divide the width, got "
            f"width={width}, depth={depth}, heads={heads}"
        )


class Block(nn.Module):
    """Adds attention, then a perceptron of width `hidden`, each of the normalized tokens (Xiong et al., ICML 2020)."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = StochasticDepth(0.0, mode="row")

    def forward(self, tokens: Tensor, by: Rotation | None = None) -> Tensor:
        tokens = tokens + self.drop_path(self.attention(self.norm1(tokens), by))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class Attention(nn.Module):
    """Attention of `heads` heads (Vaswani et al., NeurIPS 2017, arXiv:1706.03762), by torch's fused kernels."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"  # which weights do not tell

    def forward(self, tokens: Tensor, by: Rotation | None = None) -> Tensor:
        split = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = split.unbind(0)  # each (B, heads, N, width / heads)
        if by is not None:
            queries, keys = rotate(queries, by), rotate(keys, by)
        seen = F.scaled_dot_product_attention(queries, keys, values)
        return self.out(seen.transpose(1, 2).flatten(2))


def init_transformer(parts: Iterable[nn.Module]) -> None:
    """Initializes linear layers and tubelets with normal weights of deviation 0.02 and zero biases."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, (nn.Linear, nn.Conv3d)):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
