"""The decoder of masked modelling: a light transformer from the tokens of the seen places to all hidden ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tbe.backbones.vit import select
from tbe.backbones.vit.blocks import EPS, Blocks, init_transformer
from tbe.backbones.vit.positions import Grid, vectors
from tbe.methods.masked.masks import Split

HEAD = 64  # channels of a head


class Decoder(nn.Module):
    """Predicts vectors (B, M, outputs) of the hidden places from the tokens (B, K, F) of the seen ones.

    Hidden places start as one learned token. width: null for half of the encoder's; heads: null for one for each 64
    channels. Positions are sines and cosines along each axis.
    """

    def __init__(
        self, num_features: int, outputs: int, depth: int = 4, width: int | None = None, heads: int | None = None
    ):
        super().__init__()
        self.width = width = num_features // 2 if width is None else width
        heads = max(1, width // HEAD) if heads is None else heads
        self.narrow = nn.Linear(num_features, width)
        self.hidden_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = Blocks(depth, width, heads)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, outputs)
        init_transformer(self.children())
        nn.init.normal_(self.hidden_token, std=0.02)

    def forward(self, tokens: Tensor, split: Split, grid: Grid) -> Tensor:
        places = vectors("sincos", self.width, grid, grid, tokens.device).to(tokens.dtype)
        seen = self.narrow(tokens) + select(places, split.seen)
        hidden = self.hidden_token.to(seen.dtype) + select(places, split.hidden)
        decoded = self.blocks(torch.cat([seen, hidden], dim=1))
        return self.head(self.norm(decoded[:, split.seen.shape[1] :]))
