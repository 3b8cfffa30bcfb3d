"""Converts a network's input to RGB pictures."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from torch import Tensor

from tbe.augment.turned import FLOW
from tbe.viz.palette import HEAT


def pixels(clips: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Converts normalized clips (B, C, T, H, W) to pictures uint8 (B, T, H, W, 3); mean, std: of their normalisation.

    Two-channel optical flow becomes red for motion to the right, blue for motion down, and gray for none.
    """
    levels = clips.float() * std.to(clips.device) + mean.to(clips.device)
    levels = (255 * levels.clamp(0, 1)).round().byte().movedim(1, -1)
    if levels.shape[-1] == FLOW:
        right, down = levels.unbind(dim=-1)
        levels = torch.stack([right, torch.full_like(right, 128), down], dim=-1)
    return levels.cpu().numpy()


def overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Overlays heat in [0, 1] (..., H, W) on frames uint8 (..., H, W, 3), in gray so that only the heat has color."""
    gray = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    colors = 255 * matplotlib.colormaps[HEAT](heat)[..., :3]
    opacity = 0.3 + 0.4 * heat[..., None]
    return ((1 - opacity) * gray[..., None] + opacity * colors).round().astype(np.uint8)
