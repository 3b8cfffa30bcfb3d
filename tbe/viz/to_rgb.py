"""From what a network takes to what a screen shows."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from torch import Tensor

from tbe.viz.palette import HEAT

FLOW = 2  # channels of optical flow


def pixels(clips: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Normalised clips (B, C, T, H, W) as pictures uint8 (B, T, H, W, 3), with the mean and deviation they have.

    Optical flow, of two channels, is shown as red for motion to the right and blue for motion down, gray for none.
    """
    levels = clips.float() * std.to(clips.device) + mean.to(clips.device)
    levels = (255 * levels.clamp(0, 1)).round().byte().movedim(1, -1)
    if levels.shape[-1] == FLOW:
        right, down = levels.unbind(dim=-1)
        levels = torch.stack([right, torch.full_like(right, 128), down], dim=-1)
    return levels.cpu().numpy()


def overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Heat in [0, 1] (..., H, W) over frames uint8 (..., H, W, 3), which turn gray: only the heat has color."""
    gray = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    colors = 255 * matplotlib.colormaps[HEAT](heat)[..., :3]
    opacity = 0.3 + 0.4 * heat[..., None]
    return ((1 - opacity) * gray[..., None] + opacity * colors).round().astype(np.uint8)
