"""ViT: a transformer on tubelets, the small boxes of space and time that a clip is cut into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tbe.backbones.base import Triple, VideoBackbone
from tbe.backbones.vit.blocks import EPS, Blocks, check_sizes, init_transformer
from tbe.backbones.vit.positions import ADDED, ROTATED, Grid, Rotation, check_positions, rotation, vectors
from tbe.backbones.vit.selecting import select
from tbe.errors import UserError


class ViT(VideoBackbone):
    """A vision transformer for clips; F = width.

    patch: frames, rows and columns of a tubelet; what is left over at the end of a clip is not seen. positions:
    'sincos' or 'flat', vectors that are added, made for clips of `grid` tubelets along T, H and W and interpolated for
    all others; or 'rotary', which knows distances only, and 'rotary_tiled', see `positions.rotation`. registers: tokens
    without a place that take part in attention (Darcet et al., ICLR 2024, arXiv:2309.16588). drop_path: the
    probability that the last block is skipped. norm: whether a layer norm follows the blocks.
    Dosovitskiy et al., ICLR 2021 (arXiv:2010.11929); tubelets: Arnab et al., ICCV 2021 (arXiv:2103.15691).
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        patch: Sequence[int] = (2, 16, 16),
        grid: Sequence[int] = (8, 14, 14),
        positions: str = "sincos",
        registers: int = 0,
        drop_path: float = 0.0,
        mlp_ratio: float = 4.0,
        norm: bool = True,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_sizes(width, depth, heads)
        check_positions(positions, width, heads)
        if registers < 0:
            raise UserError(f"ViT: expected registers of at least 0, got {registers}")
        self.in_channels = in_channels
        self.num_features = width
        self.positions = positions
        self.head_width = width // heads
        self.patch = self.min_size = _triple("patch", patch)
        self.grid = _triple("grid", grid)
        self.tubelets = nn.Conv3d(in_channels, width, self.patch, self.patch)
        self.registers = nn.Parameter(torch.zeros(1, registers, width)) if registers else None
        self.blocks = Blocks(depth, width, heads, mlp_ratio, drop_path)
        self.norm = nn.LayerNorm(width, eps=EPS) if norm else nn.Identity()
        init_transformer([self.tubelets, self.blocks])
        if self.registers is not None:
            nn.init.normal_(self.registers, std=0.02)

    def extra_repr(self) -> str:
        return f"positions={self.positions}, grid={self.grid}"  # which weights do not tell

    def forward_features(self, clips: Tensor) -> Tensor:
        return self.tokens(clips).transpose(1, 2).unflatten(2, self.grid_of(clips))

    def tokens(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns the tokens (B, t * h * w, F) of clips, without registers, counted along W, then H, then T.

        keep: indices (B, K) of the only tokens that the network sees, which are those it returns: (B, K, F).
        """
        self.check(clips)
        grid = self.grid_of(clips)
        tokens = self.tubelets(clips).flatten(2).transpose(1, 2)
        if self.positions in ADDED:
            places = vectors(self.positions, self.num_features, grid, self.grid, clips.device)
            tokens = tokens + places.to(tokens.dtype)
        if keep is not None:
            tokens = select(tokens, keep)
        num_registers = 0
        if self.registers is not None:
            num_registers = self.registers.shape[1]
            tokens = torch.cat([self.registers.to(tokens.dtype).expand(tokens.shape[0], -1, -1), tokens], dim=1)
        tokens = self.blocks(tokens, self._rotation(grid, keep, num_registers, tokens))
        return self.norm(tokens[:, num_registers:])

    def layer_of(self, name: str) -> int:
        """Returns the layer of a parameter by its name: 0 for tubelets and registers, then the blocks, and the norm."""
        part, _, rest = name.partition(".")
        if part == "blocks":
            return 1 + int(rest.split(".")[0])
        return 1 + len(self.blocks) if part == "norm" else 0

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the network as a whole, and its blocks for calls of `tokens`."""
        self.blocks.compile(*args, **kwargs)
        super().compile(*args, **kwargs)

    def grid_of(self, clips: Tensor) -> Grid:
        """Returns the number of tubelets of clips (B, C, T, H, W) along T, H and W."""
        t, h, w = (size // step for size, step in zip(clips.shape[2:], self.patch, strict=True))
        return t, h, w

    def _rotation(self, grid: Grid, keep: Tensor | None, num_registers: int, tokens: Tensor) -> Rotation | None:
        if self.positions not in ROTATED:
            return None
        cosines, sines = rotation(self.positions, self.head_width, grid, tokens.device)
        if keep is not None:
            cosines, sines = (select(table[0], keep).unsqueeze(1) for table in (cosines, sines))
        # Registers have no place: they are not rotated.
        still = cosines.new_ones(len(cosines), 1, num_registers, self.head_width)
        cosines, sines = torch.cat([still, cosines], dim=2), torch.cat([0 * still, sines], dim=2)
        return Rotation(cosines.to(tokens.dtype), sines.to(tokens.dtype))


def _triple(name: str, sizes: Sequence[int]) -> Triple:
    if len(sizes) != 3 or min(sizes) < 1:
        raise UserError(f"ViT: expected {name} to be three numbers of at least 1, along T, H and W, got {list(sizes)}")
    t, h, w = sizes
    return t, h, w
