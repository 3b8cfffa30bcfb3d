"""Crops, resizes, flips and blurs a batch of clips by two matrix products, and rotates it.

The first four are linear and separable, so `rows @ picture @ columns.T` does them all: one pair of matrices per clip,
whatever its box. On a CPU, torch's own resize of bytes is several times faster for clips without blur; it rounds to
whole levels, and does not run on GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

NO_BLUR = 1e-3  # pixels: so narrow that all other weights are exactly 0
BAND = 56  # rows or columns of the result computed at once, from only the part of the picture that they need
ALIGNED = 8  # half-precision values per row, a multiple of which the fast matrix products of GPUs need


def resample(
    clips: Tensor,
    boxes: Tensor,
    size: int,
    flipped: Tensor | None = None,
    sigma: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Crops each clip to its box, resizes that to size x size, flips and blurs it.

    Clips uint8 (B, T, C, H, W), boxes (B, 4) top, left, height, width, flipped bool (B,), sigma (B,) in output pixels,
    0 for no blur. Returns `dtype` (B, C, T, size, size) in [0, 1], a view that is not contiguous.
    Resizing is bilinear and antialiased, as in torchvision; blur at the border averages only pixels inside.
    dtype: float32, or float16 for GPUs: it represents the 256 levels exactly, moves half the bytes, and is accurate to
    a third of a level, like float32 products in TF32.
    """
    batch, num_frames, channels, *sides = clips.shape
    height, width = sides if dtype == torch.float32 else (-(-side // ALIGNED) * ALIGNED for side in sides)
    rows, columns = matrices(boxes, size, height, width, flipped, sigma)
    # (B, H, C, T, W): both products are then one large matrix per clip, without a copy between them.
    shape = (batch, height, channels, num_frames, width)
    is_filled = [height, width] == sides
    pictures = (torch.empty if is_filled else torch.zeros)(shape, dtype=dtype, device=clips.device)
    pictures[:, : sides[0], ..., : sides[1]] = clips.permute(0, 3, 2, 1, 4)
    pictures = pictures.view(batch, -1, width) @ columns.transpose(1, 2).to(dtype)
    pictures = rows.to(dtype) @ pictures.view(batch, height, -1)
    return pictures.view(batch, size, channels, num_frames, size).permute(0, 2, 3, 1, 4)


def matrices(
    boxes: Tensor, size: int, height: int, width: int, flipped: Tensor | None = None, sigma: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the weights (B, size, height) and (B, size, width) of `resample`, for levels up to 255."""
    top, left, box_height, box_width = boxes.unbind(dim=1)
    rows = resize_matrix(top, box_height, size, height)
    columns = resize_matrix(left, box_width, size, width)
    if sigma is not None:
        blur = blur_matrix(sigma, size)
        rows, columns = blur @ rows, blur @ columns
    if flipped is not None:
        columns = torch.where(flipped[:, None, None], columns.flip(1), columns)
    return rows / 255, columns


def resample_in_bands(clips: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Resamples frames of one clip (1, T, C, H, W) on a CPU by its matrices, like `resample` up to rounding.

    Skips multiplications by zero, which are most of them.
    """
    _, num_frames, channels, height, width = clips.shape
    rows, columns = rows[0], columns[0]
    size = len(rows)
    pictures = torch.empty(height, channels, num_frames, width)
    pictures.copy_(clips[0].permute(2, 1, 0, 3))
    narrow = torch.empty(height * channels * num_frames, size)
    for band, used in _bands(columns):
        torch.mm(pictures.view(-1, width)[:, used], columns[band, used].T, out=narrow[:, band])
    result = torch.empty(size, channels * num_frames * size)
    for band, used in _bands(rows):
        torch.mm(rows[band, used], narrow.view(height, -1)[used], out=result[band])
    return result.view(1, size, channels, num_frames, size).permute(0, 2, 3, 1, 4)


def resample_in_levels(clips: Tensor, size: int, flipped: Tensor | None = None) -> Tensor:
    """Resamples one cropped clip, uint8 (1, T, C, H, W), on a CPU in whole levels, like `resample` without blur.

    Returns uint8 (1, C, T, size, size), accurate to one level, since each pass rounds. flipped: bool (1,).
    """
    pictures = F.interpolate(clips[0], size=(size, size), mode="bilinear", antialias=True)
    if flipped is not None and flipped.item():
        pictures = pictures.flip(-1)
    return pictures.transpose(0, 1).unsqueeze(0)


def _bands(weights: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yields bands of the rows of weights (S, extent), each with the columns outside of which it is zero."""
    for start in range(0, len(weights), BAND):
        band = slice(start, start + BAND)
        used = weights[band].any(dim=0).nonzero()
        yield band, slice(int(used[0]), int(used[-1]) + 1)


def resize_matrix(start: Tensor, length: Tensor, size: int, extent: int) -> Tensor:
    """Returns weights (B, size, extent) that resize pixels [start, start + length) of an axis of `extent` to `size`.

    start, length: (B,). The weights are triangles as wide as the step between outputs (at least a pixel), cut off at
    the box.
    """
    start, length = start.view(-1, 1, 1).float(), length.view(-1, 1, 1).float()
    step = length / size
    centers = (torch.arange(size, device=start.device).view(-1, 1) + 0.5) * step
    pixels = torch.arange(extent, device=start.device) + 0.5 - start
    weights = (1 - (pixels - centers).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights * ((pixels > 0) & (pixels < length))
    return weights / weights.sum(dim=-1, keepdim=True)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Returns Gaussian weights (B, size, size), with rows that sum to 1; the identity where sigma is 0."""
    pixels = torch.arange(size, dtype=torch.float32, device=sigma.device)
    distance = pixels - pixels.view(-1, 1)
    weights = torch.softmax(-0.5 * (distance / sigma.clamp(min=NO_BLUR).view(-1, 1, 1)) ** 2, dim=-1)
    return F.threshold(weights, 1e-8, 0.0)  # the tails are subnormal numbers, which slow a CPU down many times


def rotate(clips: Tensor, degrees: Tensor) -> Tensor:
    """Rotates square clips (B, C, T, S, S) counter-clockwise by degrees (B,) about their center, bilinearly.

    Pixels from outside are mirrored: black corners would reveal the angle.
    """
    batch, channels, num_frames, size, _ = clips.shape
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [batch, 1, size, size], align_corners=False)
    frames = clips.reshape(batch, channels * num_frames, size, size)
    return F.grid_sample(frames, grid, padding_mode="reflection", align_corners=False).view(clips.shape)
