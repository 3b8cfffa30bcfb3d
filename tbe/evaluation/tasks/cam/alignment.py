"""Aligns the cells of a network's feature maps with the clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.backbones.base import VideoBackbone

NUM_CLIPS = 2

Shift = tuple[float, float, float]  # frames, and pixels down and to the right


def measured_shift(backbone: VideoBackbone, shape: torch.Size, device: torch.device) -> Shift:
    """Measures how far the receptive field of the middle cells is from the middle of a clip (C, T, H, W).

    A convolution of stride 2 with symmetric padding is centered half a pixel up and to the left of its cell, four of
    them 7.5 pixels. Measured by the centroid of the gradient of the middle cells, on noise.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(NUM_CLIPS, *shape, generator=generator).to(device)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        clips = noise.clone().requires_grad_()
        middle = _middle(backbone.forward_features(clips).float())
        # With random signs, the squared gradient is on average the sum of the squared gradients of all features.
        signs = torch.randn(middle.shape, generator=generator).sign().to(device)
        gradient = torch.autograd.grad((middle * signs).sum(), clips)[0].double().square().sum(dim=(0, 1))
    total = gradient.sum().item()
    if not total > 0:  # the middle cells have no gradient
        return 0.0, 0.0, 0.0
    center = []
    for axis, length in enumerate(gradient.shape):
        along = gradient.sum(dim=[other for other in range(3) if other != axis])
        places = torch.arange(length, device=device, dtype=torch.float64)
        center.append((along * places).sum().item() / total - (length - 1) / 2)
    return center[0], center[1], center[2]


def align_to_clips(maps: Tensor, size: tuple[int, ...], shift: Shift) -> Tensor:
    """Resizes maps (B, t, h, w) linearly to the clips' size (B, T, H, W), with each cell at its position."""
    moved = [2 * distance / length for distance, length in zip(shift, size, strict=True)][::-1]  # x, y, time
    # grid_sample looks up the source of each pixel, hence the inverse shift.
    affine = torch.cat([torch.eye(3), -torch.tensor(moved).view(3, 1)], dim=1).to(maps)
    grid = F.affine_grid(affine.expand(len(maps), 3, 4), [len(maps), 1, *size], align_corners=False)
    return F.grid_sample(maps.unsqueeze(1), grid, padding_mode="border", align_corners=False).squeeze(1)


def _middle(features: Tensor) -> Tensor:
    """Returns the middle cell of (B, F, t, h, w), or the two, four or eight cells around the middle."""
    for axis in (2, 3, 4):
        length = features.shape[axis]
        features = features.narrow(axis, (length - 1) // 2, 2 - length % 2)
    return features
