"""Clips with the pictures of others and another motion, as negatives: played backwards, shuffled, or standing still.

In the spirit of DSM, whose negatives keep the scene and break the motion (Wang et al., AAAI 2021, arXiv:2009.05757).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tbe.augment.turned import reverse
from tbe.errors import UserError


def play_backwards(clips: Tensor) -> Tensor:
    """Reverses the frames of clips (B, C, T, H, W). An action that looks the same backwards is no negative."""
    _check(clips)
    return reverse(clips)


def shuffle_frames(clips: Tensor) -> Tensor:
    """Shuffles the frames of each clip (B, C, T, H, W) by an order of its own, which is never the right one."""
    _check(clips)
    batch, length = len(clips), clips.shape[2]
    orders = torch.rand(batch, length, device=clips.device).argsort(dim=1)
    right = torch.arange(length, device=clips.device).expand(batch, -1)
    orders = torch.where((orders == right).all(dim=1, keepdim=True), orders.flip(1), orders)
    return _frames(clips, orders)


def hold_a_frame(clips: Tensor) -> Tensor:
    """Repeats one random frame of each clip (B, C, T, H, W)."""
    _check(clips)
    chosen = torch.randint(clips.shape[2], (len(clips),), device=clips.device)
    return _frames(clips, chosen.unsqueeze(1).expand(-1, clips.shape[2]))


BROKEN: dict[str, Callable[[Tensor], Tensor]] = {
    "reversed": play_backwards,
    "shuffled": shuffle_frames,
    "static": hold_a_frame,
}


def _frames(clips: Tensor, orders: Tensor) -> Tensor:
    """Takes the frames `orders` (B, T) of clips (B, C, T, H, W)."""
    rows = torch.arange(len(clips), device=clips.device).unsqueeze(1)
    return clips.transpose(1, 2)[rows, orders].transpose(1, 2)


def _check(clips: Tensor) -> None:
    if clips.shape[2] < 2:
        raise UserError(
            "method.negative: expected clips of at least 2 frames, whose motion can be broken, got "
            f"{clips.shape[2]} (clip.num_frames)"
        )
