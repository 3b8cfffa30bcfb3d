"""Finds the frame of a video that shows people best, and boxes around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from tbe.data.medians import temporal_median
from tbe.evaluation.perturbations import motion_against, motion_threshold, moving_parts
from tbe.prepare.tools.masks.finding import NUM_SAMPLED, Video
from tbe.prepare.tools.masks.motion import as_clip
from tbe.prepare.tools.masks.people import PERSON, SURE, Detector

CANDIDATES = 8  # frames, evenly spread over a video
LEAST = 0.002  # of the picture, for a box
SPECK = 0.25  # of the largest piece that moves: smaller ones are none of the people
PEOPLE = 5  # at most, the largest


class Prompt(NamedTuple):
    """The number of a frame, and boxes around people in it, float (n, 4): left, upper, right, lower, in pixels."""

    frame: int
    boxes: np.ndarray


Prompter = Callable[[Video], Prompt | None]  # None where nobody is found


def by_motion(video: Video) -> Prompt | None:
    """Returns boxes around what moves against the median frame; supposes a camera at rest."""
    sample = as_clip(*video.sample(NUM_SAMPLED))
    median = temporal_median(sample)
    threshold = motion_threshold(motion_against(median, sample))
    found = []
    for number, picture in _candidates(video):
        moving = moving_parts(motion_against(median, as_clip(picture)), threshold)[0, 0, 0].numpy()
        found.append(Prompt(number, _around(moving)))
    return _best(found, sample.shape[3] * sample.shape[4])


def by_detector(detect: Detector, device: str) -> Prompter:
    """Returns a prompter by a detector of people, such as Mask R-CNN, whatever the camera does."""

    @torch.inference_mode()
    def prompt(video: Video) -> Prompt | None:
        found, area = [], 0
        for number, picture in _candidates(video):
            area = picture.shape[0] * picture.shape[1]
            seen = detect([torch.from_numpy(picture).permute(2, 0, 1).to(device) / 255])[0]
            is_sure = (seen["labels"] == PERSON) & (seen["scores"] > SURE)
            found.append(Prompt(number, seen["boxes"][is_sure].float().cpu().numpy()))
        return _best(found, area)

    return prompt


def areas(boxes: np.ndarray) -> np.ndarray:
    """Returns the areas (n,) of boxes (n, 4), in pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _candidates(video: Video) -> Iterator[tuple[int, np.ndarray]]:
    """Yields frames that are spread evenly over a video, with their numbers."""
    count = sum(1 for _ in video.frames())
    wanted = set(np.linspace(0, count - 1, min(CANDIDATES, count)).round().astype(int).tolist())
    return ((number, picture) for number, picture in enumerate(video.frames()) if number in wanted)


def _around(moving: np.ndarray) -> np.ndarray:
    """Returns boxes around the pieces of a mask bool (H, W), without specks."""
    pieces, count = ndimage.label(moving)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    places = [
        place for place, size in zip(ndimage.find_objects(pieces), sizes, strict=True) if size >= SPECK * sizes.max()
    ]
    boxes = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in places]
    return np.array(boxes, float).reshape(-1, 4)


def _best(found: list[Prompt], area: int) -> Prompt | None:
    """Returns the frame with the largest boxes, of which only large ones are kept."""
    kept = []
    for number, boxes in found:
        large = boxes[areas(boxes) >= LEAST * area]
        kept.append(Prompt(number, large[np.argsort(-areas(large))][:PEOPLE]))
    best = max(kept, key=lambda prompt: areas(prompt.boxes).sum())
    return best if len(best.boxes) else None
