"""Mixup and CutMix: clips and labels of two videos in one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tbe.errors import UserError


class Mixing(nn.Module):
    """Mixes each clip of a batch with the one before it, by one of two ways, and its label in the same proportion.

    Mixup blends them (Zhang et al., ICLR 2018, arXiv:1710.09412); CutMix puts a box of the other clip into all frames
    (Yun et al., ICCV 2019, arXiv:1905.04899). mixup, cutmix: the share of a clip is drawn from Beta(a, a), where a is
    this; 0 turns the way off. With both, CutMix has the probability `switch`. A clip is mixed with probability `prob`.
    """

    def __init__(self, mixup: float = 0.8, cutmix: float = 1.0, prob: float = 1.0, switch: float = 0.5):
        super().__init__()
        if min(mixup, cutmix) < 0 or not 0 <= prob <= 1 or not 0 <= switch <= 1:
            raise UserError(
                "Mixing: expected mixup and cutmix of at least 0, prob and switch in [0, 1], got "
                f"{mixup}, {cutmix}, {prob}, {switch}"
            )
        self.mixup, self.cutmix, self.prob = mixup, cutmix, prob
        self.switch = switch if mixup and cutmix else float(bool(cutmix))

    @property
    def is_on(self) -> bool:
        """Returns whether anything is mixed."""
        return self.prob > 0 and max(self.mixup, self.cutmix) > 0

    def forward(self, clips: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Returns mixed clips (B, C, T, H, W), and float32 targets (B, num_classes), the share of each class."""
        batch, device = len(clips), clips.device
        others = clips.roll(1, dims=0)
        is_cut = torch.rand(batch, device=device) < self.switch
        own = torch.where(is_cut, _draw_shares(self.cutmix, clips), _draw_shares(self.mixup, clips))
        own = torch.where(torch.rand(batch, device=device) < self.prob, own, 1.0)
        boxes = _random_boxes(1 - own, clips)
        # A box of the other clip, whose size is known only when it is cut off at the border.
        own = torch.where(is_cut, 1 - boxes.mean(dim=(1, 2)), own)
        weights = torch.where(is_cut.view(-1, 1, 1), 1 - boxes, own.view(-1, 1, 1))
        mixed = torch.lerp(others, clips, weights.view(batch, 1, 1, *weights.shape[1:]).to(clips.dtype))
        kinds = torch.zeros(batch, num_classes, device=device).scatter_(1, labels.unsqueeze(1), 1.0)
        return mixed, torch.lerp(kinds.roll(1, dims=0), kinds, own.unsqueeze(1))

    def extra_repr(self) -> str:
        return f"mixup={self.mixup}, cutmix={self.cutmix}, prob={self.prob}, switch={self.switch}"


def _draw_shares(strength: float, clips: Tensor) -> Tensor:
    """Draws numbers (B,) from Beta(strength, strength); 1 for a strength of 0."""
    if not strength:
        return torch.ones(len(clips), device=clips.device)
    shapes = torch.full((2, len(clips)), strength, device=clips.device)
    # Of two gamma variables the share of the first: a Beta distribution in torch checks its values, and so waits.
    near, far = torch.distributions.Gamma(shapes, torch.ones_like(shapes), validate_args=False).sample()
    return near / (near + far)


def _random_boxes(areas: Tensor, clips: Tensor) -> Tensor:
    """Returns 1 inside of a box of this share (B,) of each frame, around a random place, and 0 outside: (B, H, W)."""
    sides, inside = areas.sqrt(), []
    for size in clips.shape[-2:]:
        center = torch.rand(len(clips), device=clips.device) * size
        half = sides * size / 2
        places = torch.arange(size, device=clips.device) + 0.5
        inside.append((places - center.unsqueeze(1)).abs() < half.unsqueeze(1))
    return (inside[0].unsqueeze(2) & inside[1].unsqueeze(1)).float()
