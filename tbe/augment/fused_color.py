"""Color changes and normalization of a batch in one kernel, for GPUs that Triton supports.

One by one, each change reads and writes all pixels several times. Their order is drawn for each batch, and one kernel
per order would make two dozen, so the order is data. Brightness, contrast and saturation are

    x -> clamp(scale * x + towards_gray * gray(x) + towards_mean * m)

with coefficients per clip, and have slots before and after the hue; (1, 0, 0) in a slot has no effect. m is the mean
gray of a frame before its contrast change: a first pass over a frame applies the changes before that one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tbe.augment.color_jitter import (
    Change,
    adjust_brightness_,
    adjust_contrast_,
    adjust_hue_,
    adjust_saturation_,
)

BEFORE, AFTER = 3, 4  # slots: brightness, contrast and saturation; also gray at the end
BLOCK, WARPS = 2048, 8  # pixels at a time, and warps of 32 threads
logger = logging.getLogger(__name__)
_failed: set[str] = set()  # types of devices on which a launch failed


def change_and_normalize(pictures: Tensor, changes: Sequence[Change], mean: Tensor, std: Tensor) -> Tensor | None:
    """Applies changes to RGB pictures (B, 3, T, S, S) in [0, 1], of any strides, and normalizes by mean and std (3,).

    Returns new contiguous float32; None if Triton does not work, which is logged once.
    """
    kernel = None if pictures.device.type in _failed else _kernel(pictures.device.type)
    try:
        return None if kernel is None else _launched(kernel, pictures, changes, mean, std)
    except Exception as error:  # of this size or on this GPU, where the trial had succeeded
        _failed.add(pictures.device.type)
        _warn(error)
        return None


@cache
def _kernel(device: str) -> Any:
    """Returns the kernel after a trial on two pixels on such a device; None if it fails."""
    try:
        from tbe.augment.color_kernel import change_frames

        pixels = torch.zeros(1, 3, 2, 1, 1, device=device)
        changes = [Change(adjust_hue_, pixels[0, 0, :1, 0, 0], 0.0)]
        _launched(change_frames, pixels, changes, pixels.view(-1), 1 + pixels.view(-1))
    except Exception as error:  # of many kinds, depending on what is missing
        _warn(error)
        return None
    return change_frames


def _warn(error: Exception) -> None:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    logger.warning(
        "augment.fused: Triton does not work here (%s), so color changes run one by one. Install a C compiler, or "
        "set augment.fused=false",
        reason,
    )


def _launched(kernel: Any, pictures: Tensor, changes: Sequence[Change], mean: Tensor, std: Tensor) -> Tensor:
    plan, early = planned(changes)
    result = torch.empty(pictures.shape, dtype=torch.float32, device=pictures.device)
    with torch.cuda.device_of(pictures):  # Triton would use the current device
        kernel[(len(pictures) * pictures.shape[2],)](
            pictures,
            plan,
            plan if early is None else early,
            mean,
            std,
            result,
            pictures.shape[2],
            *pictures.stride(),
            size=pictures.shape[-1],
            plan_length=plan.shape[1],
            has_contrast=early is not None,
            block=BLOCK,
            num_warps=WARPS,
        )
    return result


def planned(changes: Sequence[Change]) -> tuple[Tensor, Tensor | None]:
    """Encodes changes as a plan (B, 1 + 3 * (BEFORE + AFTER)): the hue shift and the coefficients of the slots.

    Also returns the plan of the changes before contrast, None without contrast. Needs at least one change, each kind at
    most once, and gray at the end. Reads nothing from the device: the host knows the order.
    """
    kinds = [change.adjust_ for change in changes]
    whole = _plan(changes, kinds)
    if adjust_contrast_ not in kinds:
        return whole, None
    contrast = kinds.index(adjust_contrast_)
    early = [
        change if number < contrast else change._replace(amounts=torch.full_like(change.amounts, change.neutral))
        for number, change in enumerate(changes)
    ]
    return whole, _plan(early, kinds)


def _plan(changes: Sequence[Change], kinds: list[Callable]) -> Tensor:
    nothing = torch.zeros_like(changes[0].amounts)
    hue = kinds.index(adjust_hue_) if adjust_hue_ in kinds else None
    before, after = (changes[:hue], changes[hue + 1 :]) if hue is not None else ([], changes)
    columns = [nothing if hue is None else changes[hue].amounts]
    for part, room in ((before, BEFORE), (after, AFTER)):
        columns += [column for change in part for column in _coefficients(change)]
        columns += [1 + nothing, nothing, nothing] * (room - len(part))
    return torch.stack(columns, dim=1)


def _coefficients(change: Change) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the coefficients of a pixel, of its gray, and of the mean gray of its frame: (B,) each."""
    factors, nothing = change.amounts, torch.zeros_like(change.amounts)
    rest: dict[Callable, tuple[Tensor, Tensor]] = {
        adjust_brightness_: (nothing, nothing),
        adjust_saturation_: (1 - factors, nothing),
        adjust_contrast_: (nothing, 1 - factors),
    }
    return factors, *rest[change.adjust_]
