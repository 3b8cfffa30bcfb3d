"""Picks some of the tokens of each clip."""

from __future__ import annotations

from torch import Tensor


def select(tokens: Tensor, keep: Tensor) -> Tensor:
    """Returns the tokens `keep` (B, K), indices in [0, N), of tokens (B, N, D): (B, K, D), in that order.

    Tokens of one clip (1, N, D) are shared by all B.
    """
    tokens = tokens.expand(len(keep), -1, -1)
    return tokens.gather(1, keep.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
