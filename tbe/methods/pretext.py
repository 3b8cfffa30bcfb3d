"""Pretext tasks: predict which transformation was applied to a clip."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from tbe.augment.turned import mirror, reverse, rotate
from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError
from tbe.methods.base import Method, Predictions


class Pretext(nn.Module, ABC):
    """A transformation of clips with `num_choices` variants, which a network learns to recognize."""

    num_choices: int

    @abstractmethod
    def forward(self, clips: Tensor, choices: Tensor) -> Tensor:
        """Transforms each normalized clip (B, C, T, H, W) by its choice (B,) in [0, num_choices)."""


class Rotation(Pretext):
    """Rotates square clips by 0, 90, 180 or 270 degrees. Jing et al. 2018 (arXiv:1811.11387)."""

    num_choices = 4

    def forward(self, clips: Tensor, choices: Tensor) -> Tensor:
        if clips.shape[-1] != clips.shape[-2]:
            raise UserError(f"Rotation: expected square clips, got {tuple(clips.shape[-2:])}")
        return _each(torch.stack([rotate(clips, turns) for turns in range(4)]), choices)


class Flip(Pretext):
    """Mirrors clips left to right, or not."""

    num_choices = 2

    def forward(self, clips: Tensor, choices: Tensor) -> Tensor:
        return _each(torch.stack([clips, mirror(clips)]), choices)


class ArrowOfTime(Pretext):
    """Plays clips backwards, or not. Wei et al., CVPR 2018."""

    num_choices = 2

    def forward(self, clips: Tensor, choices: Tensor) -> Tensor:
        return _each(torch.stack([clips, reverse(clips)]), choices)


class Pace(Pretext):
    """Plays clips at one of `paces` (frame steps); results have T // max(paces) frames.

    Each clip starts at a random frame, so that its position in the clip gives no hint. Wang et al., ECCV 2020
    (arXiv:2008.05861).
    """

    steps: Tensor

    def __init__(self, paces: tuple[int, ...] = (1, 2)):
        super().__init__()
        self.paces = tuple(paces)
        self.num_choices = len(self.paces)
        if self.num_choices < 2 or min(self.paces) < 1:
            raise UserError(f"Pace: expected at least two paces of 1 or more, got {self.paces}")
        # A buffer, so that no step copies it to the device; not persistent, because it is a setting.
        self.register_buffer("steps", torch.tensor(self.paces), persistent=False)

    def forward(self, clips: Tensor, choices: Tensor) -> Tensor:
        length = clips.shape[2] // max(self.paces)
        if length < 2:
            raise UserError(f"Pace: expected at least {2 * max(self.paces)} frames, got {clips.shape[2]}")
        steps = self.steps[choices]
        room = clips.shape[2] - (length - 1) * steps  # number of possible start frames
        starts = (torch.rand(len(clips), device=clips.device) * room).long()
        frames = starts.unsqueeze(1) + steps.unsqueeze(1) * torch.arange(length, device=clips.device)
        batch, channels, _, height, width = clips.shape
        return clips.gather(2, frames.view(batch, 1, length, 1, 1).expand(-1, channels, -1, height, width))


class PretextMethod(Method):
    """Classifies how the query was transformed, from the features of one backbone; reads no other view.

    BE's pretext variant is this with a distracted query and the consistency regularizer (Wang et al.,
    arXiv:2009.05769).
    """

    views = ("query",)

    def __init__(self, backbone: VideoBackbone, pretext: Pretext):
        super().__init__()
        self.pretext = pretext
        self.network = backbone
        self.head = nn.Linear(backbone.num_features, pretext.num_choices)

    @property
    def backbone(self):  # see Method
        return self.network

    def forward(self, query: Tensor) -> Predictions:
        choices = torch.randint(self.pretext.num_choices, (len(query),), device=query.device)
        return Predictions(self.head(self.network(self.pretext(query, choices))).float(), choices)


def _each(variants: Tensor, choices: Tensor) -> Tensor:
    """Selects each clip's choice from variants (V, B, ...): (B, ...)."""
    return variants[choices, torch.arange(variants.shape[1], device=choices.device)]
