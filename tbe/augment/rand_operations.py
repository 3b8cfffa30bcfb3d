"""The operations of RandAugment: each changes clips (B, 3, T, H, W) in [0, 1], all frames alike, by amounts (B,)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.augment.color_jitter import adjust_brightness_, adjust_contrast_, adjust_saturation_


class Operation(NamedTuple):
    """Changes clips (B, 3, T, H, W) in [0, 1] by amounts (B,): new clips. `extent`: the amount at full magnitude.

    is_signed: whether the sign of the amount is drawn too.
    """

    change: Callable[[Tensor, Tensor], Tensor]
    extent: float
    is_signed: bool = False


def _adjusted(adjust_: Callable[[Tensor, Tensor], Tensor], clips: Tensor, amounts: Tensor) -> Tensor:
    return adjust_(clips.clone(), 1 + amounts)


def sharpen(clips: Tensor, amounts: Tensor) -> Tensor:
    """Moves each pixel away from a mean of it, 5 times, and its eight neighbors, or with amounts below 0 to that mean.

    Pixels at the border stay, as in PIL.
    """
    smooth = clips.clone()
    if min(clips.shape[-2:]) < 3:  # all is border
        return smooth
    smooth[..., 1:-1, 1:-1] = (9 * F.avg_pool3d(clips, (1, 3, 3), stride=1) + 4 * clips[..., 1:-1, 1:-1]) / 13
    return torch.lerp(smooth, clips, 1 + _per_clip(amounts)).clamp_(0, 1)


def posterize(clips: Tensor, amounts: Tensor) -> Tensor:
    """Keeps 4 bits less the whole part of the amounts of each color."""
    steps = 2 ** (4 - _per_clip(amounts).floor()).clamp(min=1)
    return (clips * steps).floor_().minimum(steps - 1) / steps


def solarize(clips: Tensor, amounts: Tensor) -> Tensor:
    """Inverts colors above 1 - amount."""
    return torch.where(clips >= 1 - _per_clip(amounts), 1 - clips, clips)


def brighten_shadows(clips: Tensor, amounts: Tensor) -> Tensor:
    """Adds the amount to colors in the darker half."""
    return torch.where(clips < 0.5, (clips + _per_clip(amounts)).clamp(max=1), clips)


def invert(clips: Tensor, amounts: Tensor) -> Tensor:
    """Inverts all colors."""
    return 1 - clips


def stretch_contrast(clips: Tensor, amounts: Tensor) -> Tensor:
    """Stretches each color of each frame to the whole range."""
    low, high = clips.amin(dim=(3, 4), keepdim=True), clips.amax(dim=(3, 4), keepdim=True)
    return torch.where(high > low, (clips - low) / (high - low).clamp(min=1e-6), clips)


def equalize(clips: Tensor, amounts: Tensor) -> Tensor:
    """Makes all levels of each color of each frame equally frequent."""
    levels = (clips * 255).round().long().flatten(3)
    ones = torch.ones((), device=clips.device).expand(levels.shape)
    counts = torch.zeros(*levels.shape[:3], 256, device=clips.device).scatter_add_(3, levels, ones)
    darker = counts.cumsum(dim=3) - counts
    brightest = darker.gather(3, levels.amax(dim=3, keepdim=True))
    found = (darker / brightest.clamp(min=1)).clamp_(max=1).gather(3, levels).view(clips.shape)
    return torch.where((brightest == 0).unsqueeze(4), clips, found)  # where all are of one level


def _warped(rows: Callable[[Tensor], list[Tensor]], clips: Tensor, amounts: Tensor) -> Tensor:
    """Moves pixels by an affine map, whose six coefficients `rows` makes of the amounts; the rest is gray."""
    batch, channels, num_frames, height, width = clips.shape
    theta = torch.stack([part.expand(batch) for part in rows(amounts)], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [batch, 1, height, width], align_corners=False)
    frames = clips.reshape(batch, channels * num_frames, height, width) - 0.5
    return F.grid_sample(frames, grid, align_corners=False).view(clips.shape) + 0.5


def _turn(degrees: Tensor) -> list[Tensor]:
    angle = torch.deg2rad(degrees)
    zero = torch.zeros_like(angle)
    return [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero]


def _shear_x(amounts: Tensor) -> list[Tensor]:
    one, zero = torch.ones_like(amounts), torch.zeros_like(amounts)
    return [one, amounts, zero, zero, one, zero]


def _shear_y(amounts: Tensor) -> list[Tensor]:
    one, zero = torch.ones_like(amounts), torch.zeros_like(amounts)
    return [one, zero, zero, amounts, one, zero]


def _move_x(shares: Tensor) -> list[Tensor]:
    one, zero = torch.ones_like(shares), torch.zeros_like(shares)
    return [one, zero, 2 * shares, zero, one, zero]


def _move_y(shares: Tensor) -> list[Tensor]:
    one, zero = torch.ones_like(shares), torch.zeros_like(shares)
    return [one, zero, zero, zero, one, 2 * shares]


def _per_clip(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1, 1)


OPERATIONS = (
    Operation(partial(_adjusted, adjust_brightness_), 0.9, is_signed=True),
    Operation(partial(_adjusted, adjust_contrast_), 0.9, is_signed=True),
    Operation(partial(_adjusted, adjust_saturation_), 0.9, is_signed=True),
    Operation(sharpen, 0.9, is_signed=True),
    Operation(posterize, 4.0),
    Operation(solarize, 1.0),
    Operation(brighten_shadows, 0.43),
    Operation(invert, 1.0),
    Operation(stretch_contrast, 1.0),
    Operation(equalize, 1.0),
    Operation(partial(_warped, _turn), 30.0, is_signed=True),
    Operation(partial(_warped, _shear_x), 0.3, is_signed=True),
    Operation(partial(_warped, _shear_y), 0.3, is_signed=True),
    Operation(partial(_warped, _move_x), 0.45, is_signed=True),
    Operation(partial(_warped, _move_y), 0.45, is_signed=True),
)
