"""Measures what a distractor added to a clip, from the clip and the result alone, so for any distractor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tbe.data.medians import temporal_median

TOLERANCE = 1e-3  # relative to the root mean square of the motion or picture
MIN_WEIGHT = 1e-3


class Blend(NamedTuple):
    """A blend (1 - weight) * clip + weight * picture, where the picture is frame `frame` of clip `source`.

    Or, if `exchanged`, clip + weight * (median of clip `source` - its own median). weight is nan if the result is
    neither; source and frame are -1 if the picture is no frame of the batch.
    """

    weight: float
    source: int
    frame: int
    exchanged: bool = False


def still_weights(clips: Tensor, distracted: Tensor) -> Tensor:
    """Returns the weight of a still picture that was blended into clips (B, C, T, H, W): float32 (B,).

    A still picture scales motion by 1 - weight, found by least squares; nan if motion was changed in another way, or
    there is none, or motion is as it was before another background.
    """
    before, after = (_motion(part).flatten(1) for part in (clips, distracted))
    energy = before.square().sum(dim=1)
    scale = (before * after).sum(dim=1) / energy
    error = (after - scale.unsqueeze(1) * before).square().sum(dim=1)
    weights = (1 - scale).masked_fill(~(error <= TOLERANCE**2 * energy), torch.nan)
    return weights.masked_fill((weights.abs() <= MIN_WEIGHT) & _is_shifted(clips, distracted), torch.nan)


def find_blend(clips: Tensor, distracted: Tensor, number: int) -> Blend:
    """Finds what was blended into clip `number` of a batch (B, C, T, H, W)."""
    clip, result = clips[number : number + 1], distracted[number : number + 1]
    weight = still_weights(clip, result)
    if weight.isnan() and _is_shifted(clip, result) and _keeps_motion(clip, result):
        return _find_exchange(clips, result - clip, number)
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


def _find_exchange(clips: Tensor, change: Tensor, number: int) -> Blend:
    """Finds of which clip of the batch the background came, from the change (1, C, T, H, W) of clip `number`."""
    medians = temporal_median(clips.float())
    gains = (medians - medians[number]).flatten(1)  # (B, C * H * W)
    wanted = change.float().mean(dim=2).flatten()
    weights = (gains @ wanted) / gains.square().sum(dim=1)  # nan for the clip itself
    errors = (weights.unsqueeze(1) * gains - wanted).square().mean(dim=1).nan_to_num(torch.inf)
    source = int(errors.argmin())
    if errors[source] > TOLERANCE**2 * wanted.square().mean():
        return Blend(torch.nan, -1, -1)
    return Blend(weights[source].item(), source, -1, exchanged=True)


def _is_shifted(clips: Tensor, distracted: Tensor) -> Tensor:
    """Says of each clip whether its mean picture changed by more than a blend too weak to count would: bool (B,)."""
    shift = (distracted.float() - clips.float()).mean(dim=2).flatten(1)
    return shift.square().mean(dim=1) > (10 * MIN_WEIGHT) ** 2 * clips.float().flatten(1).square().mean(dim=1)


def _keeps_motion(clips: Tensor, distracted: Tensor) -> bool:
    before, after = _motion(clips), _motion(distracted)
    return bool((after - before).square().sum() <= TOLERANCE**2 * before.square().sum())


def _motion(clips: Tensor) -> Tensor:
    return clips.float() - clips.float().mean(dim=2, keepdim=True)
