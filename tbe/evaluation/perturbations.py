"""What is left of a clip when its motion, its order or its background is taken away: pure functions of clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NUM_BINS = 64  # of the histogram that the threshold of motion is found in


class PerturbationContext(NamedTuple):
    """What a perturbation may use beside the clips (B, C, T, H, W), each a function of the video and the seed alone."""

    foreground: Tensor  # bool (B, 1, T, H, W): where the actor is
    backdrop: Tensor  # (B, C, 1, H, W): another video's picture without what moves there
    backdrop_of_class: Tensor  # the same of a video of another class
    order: Tensor  # int64 (B, T): the frames' numbers, mixed
    is_known: Tensor  # bool (B,): whether somebody knows where the actor is; elsewhere what moves counts as it


# Clips (B, C, T, H, W) and their surroundings -> clips of the same shape.
Perturbation = Callable[[Tensor, PerturbationContext], Tensor]


@dataclass(frozen=True)
class Clean:
    """The clips themselves."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips


@dataclass(frozen=True)
class Static:
    """The middle frame, throughout."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        middle = clips.shape[2] // 2
        return clips[:, :, middle : middle + 1].expand_as(clips)


@dataclass(frozen=True)
class Median:
    """The median of all frames, throughout: with a camera at rest, the scene without the actor."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return median_frame(clips).expand_as(clips)


@dataclass(frozen=True)
class Shuffled:
    """The frames in another order."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.gather(2, surroundings.order[:, None, :, None, None].expand_as(clips))


@dataclass(frozen=True)
class Reversed:
    """The frames backwards."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.flip(2)


@dataclass(frozen=True)
class BackgroundSwap:
    """The foreground in front of another video's background; with `another_class` of a video of another class."""

    another_class: bool = False

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        backdrop = surroundings.backdrop_of_class if self.another_class else surroundings.backdrop
        return torch.where(surroundings.foreground, clips, backdrop)


@dataclass(frozen=True)
class ForegroundRemoved:
    """The background alone: where the foreground is, the median of all frames."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return torch.where(surroundings.foreground, median_frame(clips), clips)


@dataclass(frozen=True)
class ForegroundOnly:
    """The foreground alone: elsewhere 0, which is the mean color of normalised clips."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips * surroundings.foreground


@dataclass(frozen=True)
class AddedFrame:
    """(1 - weight) * clip + weight * one of its frames: the distractor of Background Erasing at a fixed weight."""

    weight: float

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        chosen = surroundings.order[:, None, :1, None, None].expand(*clips.shape[:2], 1, *clips.shape[3:])
        return clips.lerp(clips.gather(2, chosen), self.weight)


@dataclass(frozen=True)
class AddedBackdrop:
    """(1 - weight) * clip + weight * another video's background."""

    weight: float

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.lerp(surroundings.backdrop.to(clips.dtype), self.weight)


@dataclass(frozen=True)
class ForegroundShare:
    """Measures clips and changes none: (B, 2), the share of the picture that is foreground, and 1 where that is known.

    It stands among the perturbations, as what it says is read, gathered and kept as features are.
    """

    def __call__(self, clips: Tensor, context: PerturbationContext) -> Tensor:
        return torch.stack([context.foreground.float().flatten(1).mean(dim=1), context.is_known.float()], 1)


def median_frame(clips: Tensor) -> Tensor:
    """The median over time of clips (B, C, T, H, W): (B, C, 1, H, W)."""
    # Contiguous: of expanded memory (stride 0, as Static makes it) torch 2.15 returns another median.
    return clips.contiguous().median(dim=2, keepdim=True).values


def moving_foreground(clips: Tensor) -> Tensor:
    """What differs from the median of all frames: bool (B, 1, T, H, W), nothing of a clip that does not move.

    Differences are smoothed over a sixteenth of the picture, cut in two at Otsu's threshold (IEEE Trans. SMC 1979) of
    the clip, and the part that moves is widened by as much. It supposes a camera nearly at rest.
    """
    motion = (clips - median_frame(clips)).abs().mean(dim=1).float()  # (B, T, H, W)
    size = max(1, min(clips.shape[-2:]) // 16) | 1  # odd, so that maps stay in place
    motion = F.avg_pool2d(motion, size, stride=1, padding=size // 2, count_include_pad=False)
    most = motion.flatten(1).amax(dim=1).clamp_min(torch.finfo(motion.dtype).tiny)
    levels = motion / most.view(-1, 1, 1, 1)
    moves = (levels > otsu_threshold(levels.flatten(1)).view(-1, 1, 1, 1)) & (motion > 0)
    return F.max_pool2d(moves.float(), size, stride=1, padding=size // 2).bool().unsqueeze(1)


def otsu_threshold(values: Tensor) -> Tensor:
    """Where to cut rows of values in [0, 1], (B, n) -> (B,), for the greatest variance between their two parts."""
    bins = (values * NUM_BINS).long().clamp(max=NUM_BINS - 1)
    counts = values.new_zeros(len(values), NUM_BINS).scatter_add_(1, bins, torch.ones_like(values))
    centers = (torch.arange(NUM_BINS, device=values.device, dtype=values.dtype) + 0.5) / NUM_BINS
    below, total = counts.cumsum(dim=1), counts.sum(dim=1, keepdim=True)
    sum_below = (counts * centers).cumsum(dim=1)
    above, sum_above = total - below, sum_below[:, -1:] - sum_below
    distance = sum_below / below.clamp_min(1) - sum_above / above.clamp_min(1)
    between = below * above * distance.square()
    return (between.argmax(dim=1) + 1).to(values.dtype) / NUM_BINS
