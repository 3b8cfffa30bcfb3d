"""Finds what moves, as the robustness task estimates the foreground of a clip without a mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tbe.data.medians import temporal_median
from tbe.evaluation.perturbations import motion_against, motion_threshold, moving_parts
from tbe.prepare.tools.masks.finding import NUM_SAMPLED, Found, Video


def find_motion(video: Video) -> Found:
    """Finds what differs from the median of the sampled frames; for up to NUM_SAMPLED frames as `moving_foreground`."""
    sample = as_clip(*video.sample(NUM_SAMPLED))
    median = temporal_median(sample)
    return Found(_mattes(video, median, motion_threshold(motion_against(median, sample))))


def _mattes(video: Video, median: Tensor, threshold: Tensor) -> Iterator[np.ndarray]:
    for picture in video.frames():
        yield moving_parts(motion_against(median, as_clip(picture)), threshold)[0, 0, 0].float().numpy()


def as_clip(*pictures: np.ndarray) -> Tensor:
    """Returns pictures as a clip (1, 3, T, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2)[None].float() / 255
