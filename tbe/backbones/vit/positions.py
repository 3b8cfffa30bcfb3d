"""Positions of the tokens of a clip: vectors that are added to them, or angles that rotate queries and keys.

Tokens are counted along W, then H, then T. All is computed from the size of the clip, so that nothing is stored.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.errors import UserError

Grid = tuple[int, int, int]  # tokens along T, H and W
SLOWEST = 10000.0  # ratio of the highest frequency to the lowest
ADDED = ("sincos", "flat")
ROTATED = ("rotary", "rotary_tiled")


class Rotation(NamedTuple):
    """Cosines and sines that rotate pairs of channels of queries and keys: each (1 or B, 1, N, D)."""

    cosines: Tensor
    sines: Tensor


def check_positions(positions: str, width: int, heads: int) -> None:
    """Raises UserError for an unknown kind of positions, and for a width or heads that they can't be told with."""
    if positions not in ADDED + ROTATED:
        raise UserError(f"ViT: expected positions to be one of {', '.join(ADDED + ROTATED)}, got {positions!r}")
    if positions == "flat" and width % 2:
        raise UserError(f"ViT: expected an even width for positions=flat, sines and cosines, got {width}")
    if positions in ROTATED and (width // heads < 6 or width // heads % 2):
        raise UserError(
            f"ViT: expected an even number of at least 6 channels a head for positions={positions}, a pair for each of "
            f"T, H and W, got {width // heads}, of width={width} and heads={heads}"
        )


def vectors(positions: str, width: int, grid: Grid, reference: Grid, device: torch.device) -> Tensor:
    """Returns the vectors to add to the tokens of a clip: float32 (1, N, width).

    'sincos': a third of the channels for each axis, as V-JEPA has it (Bardes et al. 2024, arXiv:2404.08471); tokens of
    another grid than `reference` lie between its places. 'flat': one count of all tokens, as VideoMAE has it (Tong et
    al., NeurIPS 2022, arXiv:2203.12602); for another grid the table of `reference` is interpolated.
    """
    if positions == "flat":
        return _flat(width, grid, reference, device)
    share = 2 * -(-width // 6)  # channels of an axis, an even number; what is too much is cut off
    waves = [_waves(places, share) for places in _stretched(grid, reference, device)]
    axes = [torch.cat([wave.sin(), wave.cos()], dim=1) for wave in waves]
    return _laid_out(axes, grid)[:, :, :width]


def rotation(positions: str, width: int, grid: Grid, device: torch.device) -> Rotation:
    """Returns the rotation of queries and keys with `width` channels a head: (1, 1, N, width), float32.

    A third of the channels turns with each axis, the rest stays. 'rotary': both channels of a pair turn by the same
    angle. 'rotary_tiled': channels 2i and 2i + 1 turn by the angles of two frequencies, as in the released weights of
    V-JEPA 2 (Assran et al. 2025, arXiv:2506.09985), whose table of angles is tiled where it should be interleaved.
    """
    share = 2 * (width // 3 // 2)
    waves = [_waves(torch.arange(size, dtype=torch.float32, device=device), share) for size in grid]
    is_tiled = positions == "rotary_tiled"
    axes = [wave.repeat(1, 2) if is_tiled else wave.repeat_interleave(2, dim=1) for wave in waves]
    angles = F.pad(_laid_out(axes, grid), (0, width - 3 * share)).unsqueeze(1)
    return Rotation(angles.cos(), angles.sin())


def rotate(channels: Tensor, by: Rotation) -> Tensor:
    """Rotates queries or keys (B, heads, N, D)."""
    first, second = channels.unflatten(3, (-1, 2)).unbind(4)
    turned = torch.stack([-second, first], dim=4).flatten(3)
    return channels * by.cosines + turned * by.sines


def _flat(width: int, grid: Grid, reference: Grid, device: torch.device) -> Tensor:
    count = reference[0] * reference[1] * reference[2]
    waves = _waves(torch.arange(count, dtype=torch.float32, device=device), width)
    table = torch.stack([waves.sin(), waves.cos()], dim=2).flatten(1)
    if grid != reference:
        maps = table.T.unflatten(1, reference).unsqueeze(0)
        table = F.interpolate(maps, grid, mode="trilinear", align_corners=False)[0].flatten(1).T
    return table.unsqueeze(0)


def _stretched(grid: Grid, reference: Grid, device: torch.device) -> list[Tensor]:
    """Returns the places of tokens along each axis, such that the grid covers what the reference does."""
    places = []
    for size, wanted in zip(grid, reference, strict=True):
        counts = torch.arange(size, dtype=torch.float32, device=device)
        places.append(counts if size == wanted else (counts + 0.5) * (wanted / size) - 0.5)
    return places


def _waves(places: Tensor, width: int) -> Tensor:
    """Returns the phases of width / 2 waves at these places (N,): (N, width / 2)."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=places.device) / half
    return places.unsqueeze(1) * SLOWEST ** (-exponents)


def _laid_out(axes: list[Tensor], grid: Grid) -> Tensor:
    """Joins the channels of T, H and W, each (size, D), for all tokens: (1, t * h * w, 3 D)."""
    t, h, w = grid
    along_t, along_h, along_w = axes
    parts = [
        along_t[:, None, None].expand(t, h, w, -1),
        along_h[None, :, None].expand(t, h, w, -1),
        along_w[None, None].expand(t, h, w, -1),
    ]
    return torch.cat(parts, dim=3).flatten(0, 2).unsqueeze(0)
