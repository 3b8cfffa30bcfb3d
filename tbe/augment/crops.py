"""Crops: map the sizes of clips, (B, 2) height and width, to one box per clip.

Boxes are `top, left, height, width` in whole pixels, int64 (B, 4), inside their clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tbe.errors import UserError

POSITIONS = ("left", "center", "right")
NUM_TRIES = 10  # as in torchvision: then the largest box of an allowed shape is taken


class Crop(Protocol):
    """The interface of the crops of ClipAugment."""

    def __call__(self, sizes: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class RandomResizedCrop:
    """Draws a box of random area, shape and position, with the distribution of torchvision's.

    scale: range of its share of the clip's area; ratio: range of width / height, log-uniform.
    Szegedy et al., CVPR 2015 (arXiv:1409.4842).
    """

    scale: Sequence[float] = (0.2, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)

    def __post_init__(self):
        _check_range("scale", self.scale, highest=1.0)
        _check_range("ratio", self.ratio, highest=math.inf)

    def __call__(self, sizes: Tensor) -> Tensor:
        # All tries of all clips at once: stopping early would synchronize with the device.
        tries = self._candidates(sizes)
        fits = (tries > 0) & (tries <= sizes[:, None])
        first = torch.cat([fits.all(dim=-1), fits.new_ones(len(sizes), 1)], dim=1).int().argmax(dim=1)
        last_resort = largest_box(sizes, *self.ratio)
        box = torch.cat([tries, last_resort[:, None]], dim=1)[torch.arange(len(sizes), device=sizes.device), first]
        room = sizes - box
        start = torch.where(first[:, None] < NUM_TRIES, random_start(room), room // 2)
        return torch.cat([start, box], dim=1)

    def _candidates(self, sizes: Tensor) -> Tensor:
        """Draws candidate heights and widths, (B, NUM_TRIES, 2); some do not fit."""
        draws = torch.rand(2, len(sizes), NUM_TRIES, device=sizes.device)
        (smallest, largest), (narrow, wide) = self.scale, map(math.log, self.ratio)
        # Not sizes.prod(dim=1): CUDA compiles that kernel at its first use, and fails without the NVRTC library.
        area = sizes[:, :1] * sizes[:, 1:] * (smallest + (largest - smallest) * draws[0])
        ratio = (narrow + (wide - narrow) * draws[1]).exp()
        return torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=-1).round().long()


@dataclass(frozen=True)
class RandomCrop:
    """Draws a square at a random position; its side is `share` of the clip's short side.

    Resizing the short side to 128 and cropping 112 corresponds to a share of 112 / 128.
    """

    share: float = 0.875

    def __post_init__(self):
        _check_share(self.share)

    def __call__(self, sizes: Tensor) -> Tensor:
        side = square(sizes, self.share)
        return torch.cat([random_start(sizes - side), side], dim=1)


@dataclass(frozen=True)
class CenterCrop:
    """Takes the square in the middle, without randomness; its side is `share` of the clip's short side."""

    share: float = 1.0

    def __post_init__(self):
        _check_share(self.share)

    def __call__(self, sizes: Tensor) -> Tensor:
        side = square(sizes, self.share)
        return torch.cat([(sizes - side) // 2, side], dim=1)


@dataclass(frozen=True)
class StretchedCrop:
    """Takes `share` of the height and of the width in the middle, whose proportions change when it is resized.

    The preprocessing of networks that were trained on frames resized to a fixed height and width. share: of both, or of
    the height and of the width.
    """

    share: float | tuple[float, float] = 1.0

    def __post_init__(self):
        for share in self._shares():
            _check_share(share)

    def _shares(self) -> tuple[float, float]:
        height, width = (self.share,) * 2 if isinstance(self.share, (int, float)) else self.share
        return height, width

    def __call__(self, sizes: Tensor) -> Tensor:
        sides = [sizes[:, side] * share for side, share in enumerate(self._shares())]
        box = torch.stack(sides, dim=1).round().long().clamp(min=1)
        return torch.cat([(sizes - box) // 2, box], dim=1)


def middle(share: float | tuple[float, float], squash: bool) -> CenterCrop | StretchedCrop:
    """Returns the crop of an evaluation; raises UserError for a share of each side without `squash`."""
    if squash:
        return StretchedCrop(share)
    if isinstance(share, (int, float)):
        return CenterCrop(share)
    raise UserError(f"crop: expected one share of the short side, or squash=true with one of each side, got {share}")


@dataclass(frozen=True)
class UniformCrop:
    """Takes one of the three squares that cover the long side of a clip: `left`, `center` or `right`.

    In a portrait clip, `left` is the top. For evaluation with three crops.
    """

    position: str = "center"

    def __post_init__(self):
        if self.position not in POSITIONS:
            raise UserError(f"UniformCrop: expected position to be one of {POSITIONS}, got {self.position!r}")

    def __call__(self, sizes: Tensor) -> Tensor:
        side = square(sizes, share=1.0)
        return torch.cat([(sizes - side) * POSITIONS.index(self.position) // 2, side], dim=1)


def square(sizes: Tensor, share: float) -> Tensor:
    """Returns height and width of squares with `share` of the short side, (B, 2)."""
    short = sizes.amin(dim=1, keepdim=True)
    return (short * share).round().long().clamp(min=1).expand(-1, 2)


def largest_box(sizes: Tensor, narrow: float, wide: float) -> Tensor:
    """Returns height and width of the largest box whose width / height is in [narrow, wide], (B, 2)."""
    height, width = sizes.unbind(dim=1)
    height, width = torch.minimum(height, (width / narrow).round()), torch.minimum(width, (height * wide).round())
    return torch.stack([height, width], dim=1).long().clamp(min=1)


def random_start(room: Tensor) -> Tensor:
    """Draws integers uniformly from [0, room]."""
    draw = torch.rand(room.shape, device=room.device) * (room + 1)
    return draw.long().minimum(room)  # float32 rounds the highest draws up to room + 1


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise UserError(f"crop: expected share in (0, 1], got {share}")


def _check_range(name: str, bounds: Sequence[float], highest: float) -> None:
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= highest or math.isinf(bounds[1]):
        raise UserError(f"crop: expected {name} to be two numbers, 0 < low <= high <= {highest}, got {bounds}")
