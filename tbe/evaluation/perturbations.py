"""Perturbations that remove motion, order, actor or background from clips, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tbe.augment.turned import reverse
from tbe.data.backgrounds import ROLES
from tbe.data.medians import temporal_median

NUM_BINS = 64  # of the histogram for the motion threshold


class PerturbationContext(NamedTuple):
    """Inputs of perturbations besides the clips (B, C, T, H, W); each depends only on the video and the seed."""

    foreground: Tensor  # bool (B, 1, T, H, W): mask of the actor
    backdrop: Tensor  # (B, C, 1, H, W): the background of another video
    backdrop_of_class: Tensor  # the same, from a video of another class
    order: Tensor  # int64 (B, T): shuffled frame indices
    is_known: Tensor  # bool (B,): whether the mask is known, not estimated from motion
    backdrops: Tensor | None = None  # (B, P, C, 1, H, W): the backgrounds of all `tbe.data.backgrounds.ROLES`, if asked
    lenders: Tensor | None = None  # int64 (B, 2, P): label and index of the videos that they are of

    def of_role(self, role: str) -> Tensor:
        """Returns the backgrounds (B, C, 1, H, W) of a role."""
        if self.backdrops is None:
            raise ValueError(f"perturbations: expected backgrounds of all roles for {role!r}, got none")
        return self.backdrops[:, ROLES.index(role)]


# (clips (B, C, T, H, W), context) -> clips of the same shape.
Perturbation = Callable[[Tensor, PerturbationContext], Tensor]


class ContextFree:
    """A perturbation that looks at the clips alone: its context may be missing."""


@dataclass(frozen=True)
class Clean(ContextFree):
    """Returns the clips unchanged."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips


@dataclass(frozen=True)
class Static(ContextFree):
    """Repeats the middle frame."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        middle = clips.shape[2] // 2
        return clips[:, :, middle : middle + 1].expand_as(clips)


@dataclass(frozen=True)
class Median(ContextFree):
    """Repeats the median of all frames: with a static camera, the scene without the actor."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return temporal_median(clips).expand_as(clips)


@dataclass(frozen=True)
class Shuffled:
    """Shuffles the frames."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.gather(2, surroundings.order[:, None, :, None, None].expand_as(clips))


@dataclass(frozen=True)
class Reversed(ContextFree):
    """Reverses the order of the frames."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return reverse(clips)


@dataclass(frozen=True)
class BackgroundSwap:
    """Replaces the background by that of another video, of another class if `another_class`."""

    another_class: bool = False

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        backdrop = surroundings.backdrop_of_class if self.another_class else surroundings.backdrop
        return torch.where(surroundings.foreground, clips, backdrop)


@dataclass(frozen=True)
class ForegroundRemoved:
    """Removes the foreground: replaces it by the median of all frames."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return torch.where(surroundings.foreground, temporal_median(clips), clips)


@dataclass(frozen=True)
class ForegroundOnly:
    """Keeps only the foreground; elsewhere 0, the mean color of normalized clips."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips * surroundings.foreground


@dataclass(frozen=True)
class AddedFrame:
    """Returns (1 - weight) * clip + weight * one of its frames: Background Erasing at a fixed weight."""

    weight: float

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        chosen = surroundings.order[:, None, :1, None, None].expand(*clips.shape[:2], 1, *clips.shape[3:])
        return clips.lerp(clips.gather(2, chosen), self.weight)


@dataclass(frozen=True)
class AddedBackdrop:
    """Returns (1 - weight) * clip + weight * another video's background."""

    weight: float

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.lerp(surroundings.backdrop.to(clips.dtype), self.weight)


@dataclass(frozen=True)
class OnBackdrop:
    """Replaces the background by that of a role of `tbe.data.backgrounds.ROLES`."""

    role: str

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return torch.where(surroundings.foreground, clips, surroundings.of_role(self.role))


@dataclass(frozen=True)
class BackdropInFront:
    """Replaces the foreground by the background of a role: with `own`, the place without its actor."""

    role: str

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return torch.where(surroundings.foreground, surroundings.of_role(self.role), clips)


@dataclass(frozen=True)
class MixedBackdrop:
    """Returns (1 - weight) * clip + weight * the background of a role."""

    role: str
    weight: float

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return clips.lerp(surroundings.of_role(self.role).to(clips.dtype), self.weight)


@dataclass(frozen=True)
class Frozen:
    """Repeats the middle frame of what another perturbation makes."""

    of: Perturbation

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        return Static()(self.of(clips, surroundings), surroundings)


class Measured:
    """A perturbation in form whose result (B, k) is kept as it is: computed, gathered and cached like features."""


@dataclass(frozen=True)
class Lenders(Measured):
    """Returns the labels of the videos that lend their backgrounds, in the order of ROLES, then indices: (B, 2 * P)."""

    def __call__(self, clips: Tensor, surroundings: PerturbationContext) -> Tensor:
        if surroundings.lenders is None:
            raise ValueError("perturbations: expected the videos that lend their backgrounds, got none")
        return surroundings.lenders.flatten(1).float()


@dataclass(frozen=True)
class ForegroundShare(Measured):
    """Returns (B, 2): the foreground's fraction of the frame, and 1 if the mask is known, 0 if estimated."""

    def __call__(self, clips: Tensor, context: PerturbationContext) -> Tensor:
        return torch.stack([context.foreground.float().flatten(1).mean(dim=1), context.is_known.float()], 1)


def moving_foreground(clips: Tensor) -> Tensor:
    """Returns a mask bool (B, 1, T, H, W) of what differs from the median frame; empty for a static clip.

    Differences are smoothed over a sixteenth of the frame, split at Otsu's threshold of the clip (IEEE Trans. SMC
    1979), and the moving part is dilated by as much. Assumes a nearly static camera.
    """
    motion = motion_against(temporal_median(clips), clips)
    return moving_parts(motion, motion_threshold(motion))


def motion_against(median: Tensor, clips: Tensor) -> Tensor:
    """Returns the differences (B, T, H, W) of clips from a median frame (B, C, 1, H, W), smoothed."""
    motion = (clips - median).abs().mean(dim=1).float()
    size = _reach(motion)
    return F.avg_pool2d(motion, size, stride=1, padding=size // 2, count_include_pad=False)


def motion_threshold(motion: Tensor) -> Tensor:
    """Returns Otsu's threshold (B,) of the motion (B, T, H, W) of each clip."""
    most = motion.flatten(1).amax(dim=1).clamp_min(torch.finfo(motion.dtype).tiny)
    return most * otsu_threshold((motion / most.view(-1, 1, 1, 1)).flatten(1))


def moving_parts(motion: Tensor, threshold: Tensor) -> Tensor:
    """Returns where motion (B, T, H, W) exceeds a threshold (B,), dilated, bool (B, 1, T, H, W)."""
    size = _reach(motion)
    moves = (motion > threshold.view(-1, 1, 1, 1)) & (motion > 0)
    return F.max_pool2d(moves.float(), size, stride=1, padding=size // 2).bool().unsqueeze(1)


def _reach(motion: Tensor) -> int:
    return max(1, min(motion.shape[-2:]) // 16) | 1  # odd, so that maps are not shifted


def otsu_threshold(values: Tensor) -> Tensor:
    """Returns Otsu's thresholds (B,) of values (B, n) in [0, 1], which maximize the between-class variance."""
    bins = (values * NUM_BINS).long().clamp(max=NUM_BINS - 1)
    counts = values.new_zeros(len(values), NUM_BINS).scatter_add_(1, bins, torch.ones_like(values))
    centers = (torch.arange(NUM_BINS, device=values.device, dtype=values.dtype) + 0.5) / NUM_BINS
    below, total = counts.cumsum(dim=1), counts.sum(dim=1, keepdim=True)
    sum_below = (counts * centers).cumsum(dim=1)
    above, sum_above = total - below, sum_below[:, -1:] - sum_below
    distance = sum_below / below.clamp_min(1) - sum_above / above.clamp_min(1)
    between = below * above * distance.square()
    return (between.argmax(dim=1) + 1).to(values.dtype) / NUM_BINS
