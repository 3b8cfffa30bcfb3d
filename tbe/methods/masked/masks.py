"""Which places of each clip are hidden, and predicted, the same in all frames: tubes. All clips have equally many."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tbe.backbones.vit.positions import Grid
from tbe.errors import UserError

ASPECTS = (0.75, 1.5)  # of blocks, height to width


class Split(NamedTuple):
    """Indices of the tokens of each clip that are seen (B, K), and of the hidden ones that are predicted (B, M)."""

    seen: Tensor
    hidden: Tensor


def random_tubes(batch: int, grid: Grid, ratio: float, device: torch.device) -> Split:
    """Hides a random `ratio` of the places, in all frames. Tong et al., NeurIPS 2022 (arXiv:2203.12602)."""
    scores = torch.rand(batch, grid[1] * grid[2], device=device)
    return _split(scores, grid, ratio)


def random_blocks(
    batch: int,
    grid: Grid,
    ratio: float,
    blocks: int,
    scale: float,
    device: torch.device,
    predicted: float | None = None,
) -> Split:
    """Hides the `ratio` of the places that random blocks cover most, in all frames; of equals random ones.

    blocks: how many for each clip, each covering the share `scale` of a frame. predicted: the share of the places, the
    most covered of the hidden ones, that is predicted; None: all hidden ones. V-JEPA predicts the union of the blocks
    and cuts both it and what is seen to the fewest of the batch; with fixed shares no clip depends on the others of its
    batch. Height to width is drawn for each block, evenly in its logarithm; V-JEPA draws one for a batch. Bardes et al.
    2024 (arXiv:2404.08471).
    """
    _, height, width = grid
    draws = torch.rand(batch, blocks, 3, device=device)
    aspect = ASPECTS[0] * (ASPECTS[1] / ASPECTS[0]) ** draws[..., 0]
    side = (scale * height * width) ** 0.5
    rows = (side * aspect.sqrt()).round().clamp(1, height)
    columns = (side / aspect.sqrt()).round().clamp(1, width)
    is_row = _inside((draws[..., 1] * (height - rows + 1)).floor(), rows, height)
    is_column = _inside((draws[..., 2] * (width - columns + 1)).floor(), columns, width)
    covered = (is_row.unsqueeze(3) & is_column.unsqueeze(2)).sum(dim=1).flatten(1)
    return _split(covered + torch.rand(batch, height * width, device=device), grid, ratio, predicted)


def check_ratio(name: str, ratio: float) -> None:
    """Raises UserError for a share of hidden places that is not between 0 and 1."""
    if not 0 < ratio < 1:
        raise UserError(f"{name}: expected a ratio of hidden places between 0 and 1, got {ratio}")


def _inside(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Returns which of `size` places lie from `start` on for `length`: bool (..., size)."""
    places = torch.arange(size, device=start.device)
    return (places >= start.unsqueeze(-1)) & (places < (start + length).unsqueeze(-1))


def _split(scores: Tensor, grid: Grid, ratio: float, predicted: float | None = None) -> Split:
    """Hides the places of a frame with the highest scores (B, h * w); sees, hides and predicts at least one."""
    frames, places = grid[0], scores.shape[1]
    if places < 2:
        raise UserError(
            f"masks: expected clips of at least two tubelets a frame, of which one can be hidden, got {places}: set a "
            "larger clip.size, or a smaller patch"
        )
    num_seen = min(max(1, math.floor((1 - ratio) * places + 0.5)), places - 1)
    num_hidden = places - num_seen
    num_predicted = num_hidden if predicted is None else min(max(1, math.floor(predicted * places + 0.5)), num_hidden)
    order = scores.argsort(dim=1)
    in_time = torch.arange(frames, device=scores.device).view(1, frames, 1) * places
    parts = order[:, :num_seen], order[:, places - num_predicted :]
    seen, hidden = ((part.unsqueeze(1) + in_time).flatten(1) for part in parts)
    return Split(seen, hidden)
