"""Crop, resize, flip and blur as two matrix products, and rotation, for a batch of clips at once.

Each of the first four is linear and separable, so `rows @ picture @ columns.T` does them all: one pair of matrices
for each clip, whatever its box. On a CPU, torch's own resize of bytes is several times faster where nothing is to be
blurred; it rounds to whole levels, and is not for GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

NO_BLUR = 1e-3  # pixels: so narrow that every other weight is exactly 0
BAND = 56  # rows or columns of the result that are computed at once, from no more of the picture than they need
ALIGNED = 8  # halves: rows of as many are what the fast half-precision products of GPUs read


def resample(
    clips: Tensor,
    boxes: Tensor,
    size: int,
    flipped: Tensor | None = None,
    sigma: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Crops each clip to its box, resizes that to size x size, flips and blurs it.

    Clips uint8 (B, T, C, H, W), boxes (B, 4) top, left, height, width, flipped bool (B,), sigma (B,) in pixels of the
    result, 0 for no blur. Gives `dtype` (B, C, T, size, size) in [0, 1], a view with strides of its own.
    Resizing is bilinear and antialiased, as in torchvision; blurred pixels at the border average what is inside.
    dtype: float32, or float16 for GPUs: it holds the 256 levels exactly, moves half the bytes, and is right to a third
    of a level, as float32 products in TF32 are.
    """
    batch, num_frames, channels, *sides = clips.shape
    height, width = sides if dtype == torch.float32 else (-(-side // ALIGNED) * ALIGNED for side in sides)
    rows, columns = matrices(boxes, size, height, width, flipped, sigma)
    # (B, H, C, T, W): both products then are one large matrix for each clip, without a copy between them.
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
    """Weights (B, size, height) and (B, size, width) of `resample`, of levels of 255."""
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
    """What `resample` does, but for rounding, for frames of one clip on a CPU, (1, T, C, H, W), by its matrices.

    What is multiplied by zeros, most of all, is left out.
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
    """What `resample` does without blur, for one cropped clip on a CPU, uint8 (1, T, C, H, W), in whole levels.

    Gives uint8 (1, C, T, size, size): each pass rounds, so a value is right to a level. flipped: bool (1,).
    """
    pictures = F.interpolate(clips[0], size=(size, size), mode="bilinear", antialias=True)
    if flipped is not None and flipped.item():
        pictures = pictures.flip(-1)
    return pictures.transpose(0, 1).unsqueeze(0)


def _bands(weights: Tensor) -> Iterator[tuple[slice, slice]]:
    """Bands of the rows of weights (S, extent), and the columns outside of which all of a band is zero."""
    for start in range(0, len(weights), BAND):
        band = slice(start, start + BAND)
        used = weights[band].any(dim=0).nonzero()
        yield band, slice(int(used[0]), int(used[-1]) + 1)


def resize_matrix(start: Tensor, length: Tensor, size: int, extent: int) -> Tensor:
    """Weights (B, size, extent) that resize pixels [start, start + length) of an axis of `extent` pixels to `size`.

    start, length: (B,). Triangles as wide as the step between results (at least a pixel), cut off at the box.
    """
    start, length = start.view(-1, 1, 1).float(), length.view(-1, 1, 1).float()
    step = length / size
    centers = (torch.arange(size, device=start.device).view(-1, 1) + 0.5) * step
    pixels = torch.arange(extent, device=start.device) + 0.5 - start
    weights = (1 - (pixels - centers).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights * ((pixels > 0) & (pixels < length))
    return weights / weights.sum(dim=-1, keepdim=True)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Gaussian weights (B, size, size), rows adding up to 1; the identity where sigma is 0."""
    pixels = torch.arange(size, dtype=torch.float32, device=sigma.device)
    distance = pixels - pixels.view(-1, 1)
    weights = torch.softmax(-0.5 * (distance / sigma.clamp(min=NO_BLUR).view(-1, 1, 1)) ** 2, dim=-1)
    return F.threshold(weights, 1e-8, 0.0)  # the tails are subnormal numbers, on which a CPU is many times slower


def rotate(clips: Tensor, degrees: Tensor) -> Tensor:
    """Turns square clips (B, C, T, S, S) counter-clockwise by degrees (B,) about their center.

    Bilinear. What comes in from outside is the mirrored picture: black corners would tell the angle.
    """
    batch, channels, num_frames, size, _ = clips.shape
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [batch, 1, size, size], align_corners=False)
    frames = clips.reshape(batch, channels * num_frames, size, size)
    return F.grid_sample(frames, grid, padding_mode="reflection", align_corners=False).view(clips.shape)
