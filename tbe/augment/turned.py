"""Clips turned, mirrored or played backwards, and with them the directions of optical flow."""

from __future__ import annotations

import torch
from torch import Tensor

FLOW = 2  # channels of optical flow: motion to the right, then down


def rotate(clips: Tensor, turns: int) -> Tensor:
    """Rotates normalized clips (B, C, T, H, W) counterclockwise by quarter turns; two channels are flow."""
    turned = torch.rot90(clips, turns, (3, 4))
    if clips.shape[1] == FLOW:
        for _ in range(turns % 4):  # right becomes up, and down becomes right
            turned = torch.stack([turned[:, 1], -turned[:, 0]], dim=1)
    return turned


def mirror(clips: Tensor) -> Tensor:
    """Mirrors normalized clips (B, C, T, H, W) left to right; two channels are optical flow, 0 no motion."""
    mirrored = clips.flip(4)
    return torch.stack([-mirrored[:, 0], mirrored[:, 1]], dim=1) if clips.shape[1] == FLOW else mirrored


def reverse(clips: Tensor) -> Tensor:
    """Plays normalized clips (B, C, T, H, W) backwards; two channels are optical flow, 0 no motion.

    The flow of a frame then leads to the frame shown before it, from where its pixels were and not where they came to,
    which differs by the motion itself.
    """
    backwards = clips.flip(2)
    return -backwards if clips.shape[1] == FLOW else backwards
