"""The network of an attentive probe."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tbe.errors import UserError

MLP_RATIO = 4  # hidden over outer width of the multilayer perceptrons, as in the transformers that are probed


class AttentiveClassifier(nn.Module):
    """Classifies standardized tokens (B, N, D): a learned query attends to them, then a linear layer.

    depth: of its blocks: depth - 1 of self-attention among the tokens, then one of cross-attention from the query.
    heads: of each attention; they must divide D. The order of the tokens plays no part. Bardes et al., 2024
    (arXiv:2404.08471) probe like this with depth 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, num_classes: int, depth: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            fitting = ", ".join(str(number) for number in range(1, 17) if width % number == 0)
            raise UserError(
                f"attentive: expected heads to divide the {width} channels of the tokens, such as {fitting}, got "
                f"{heads}"
            )
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        settings = {"dim_feedforward": MLP_RATIO * width, "dropout": 0.0, "activation": "gelu"}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, batch_first=True, norm_first=True, **settings)  # type: ignore[arg-type]
            for _ in range(depth - 1)
        )
        self.query = nn.Parameter(torch.zeros(1, 1, width).normal_(std=0.02))
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))

    def standardize_by(self, tokens: Tensor) -> None:
        """Takes mean and standard deviation of each channel from tokens (..., D); constant channels keep a 1."""
        flat = tokens.flatten(0, -2)
        self.mean.copy_(flat.mean(dim=0))
        std = flat.std(dim=0, correction=0)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns logits (B, num_classes)."""
        tokens = (tokens - self.mean) / self.std
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        query = self.query.expand(len(tokens), -1, -1)
        pooled = query + self.attention(query, tokens, tokens, need_weights=False)[0]
        return self.head((pooled + self.mlp(pooled)).squeeze(1))
