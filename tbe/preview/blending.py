"""Measures what a distractor added to a clip, from the clip and the result alone, so for any distractor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-3  # relative to the root mean square of the motion or picture
MIN_WEIGHT = 1e-3


class Blend(NamedTuple):
    """A blend (1 - weight) * clip + weight * picture, where the picture is frame `frame` of clip `source`.

    weight is nan if the result is no such blend; source and frame are -1 if the picture is no frame of the batch.
    """

    weight: float
    source: int
    frame: int


def still_weights(clips: Tensor, distracted: Tensor) -> Tensor:
    """Returns the weight of a still picture that was blended into clips (B, C, T, H, W): float32 (B,).

    A still picture scales motion by 1 - weight, found by least squares; nan if motion was changed in another way, or
    there is none.
    """
    before, after = (_motion(part).flatten(1) for part in (clips, distracted))
    energy = before.square().sum(dim=1)
    scale = (before * after).sum(dim=1) / energy
    error = (after - scale.unsqueeze(1) * before).square().sum(dim=1)
    return (1 - scale).masked_fill(~(error <= TOLERANCE**2 * energy), torch.nan)


def find_blend(clips: Tensor, distracted: Tensor, number: int) -> Blend:
    """Finds what was blended into clip `number` of a batch (B, C, T, H, W)."""
    clip, result = clips[number : number + 1], distracted[number : number + 1]
    weight = still_weights(clip, result)
    if not weight > MIN_WEIGHT:
        # A still clip has no motion to measure by: it is compared directly.
        return Blend(0.0 if torch.equal(clip, result) or not weight.isnan() else torch.nan, -1, -1)
    picture = ((result - (1 - weight) * clip).mean(dim=2) / weight).squeeze(0)
    errors = torch.stack([(frames.movedim(1, 0) - picture).square().mean(dim=(1, 2, 3)) for frames in clips])  # (B, T)
    source, frame = divmod(int(errors.argmin()), errors.shape[1])
    # Dividing by a small weight amplifies errors.
    if errors[source, frame] > (TOLERANCE / weight.item()) ** 2 * picture.square().mean():
        return Blend(weight.item(), -1, -1)
    return Blend(weight.item(), source, frame)


def _motion(clips: Tensor) -> Tensor:
    return clips.float() - clips.float().mean(dim=2, keepdim=True)
