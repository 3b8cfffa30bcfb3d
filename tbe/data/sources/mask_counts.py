"""Compares masks with a few videos: how many there are, and whether they stand as the pictures do."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tbe.data.sources.actor_masks import ActorMasks, mask_files, picture_size
from tbe.data.sources.records import Records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import UserError

NUM_COMPARED = 5  # videos of a split

log = logging.getLogger(__name__)


def check_masks(masks: ActorMasks, records: Records, names: Sequence[str], split: str) -> bool:
    """Logs how many videos of a split have masks, and returns whether any has; warns of soft ones and of boxes.

    names: what the masks of each video are looked up by. Raises UserError for masks that can't be of these videos.
    """
    known = [number for number, name in enumerate(names) if masks.has(name)]
    check_one_video_each(masks, [names[number] for number in known], split)
    check_mask_counts(masks, records, names, known)
    log.info("data.masks: %d of the %d videos of %s have masks or boxes", len(known), len(names), split)
    if not masks.above and known and masks.video(names[known[0]]) and not masks.place(names[known[0]]).is_dir():
        log.warning(
            "data.mask_above=0: masks of %s are videos, in which soft edges and what the codec leaves of black "
            "count as the actor, with the place around: data.mask_above=127 is what is more than half covered",
            split,
        )
    if num_boxes := sum(map(masks.is_boxes, names)):
        log.warning(
            "data.masks: %d of the %d videos of %s have boxes, not masks: a box carries some of its own background "
            "along in front of another one and gives it away; prefer masks",
            num_boxes,
            len(names),
            split,
        )
    return bool(known)


def check_mask_counts(masks: ActorMasks, records: Records, names: Sequence[str], known: Sequence[int]) -> None:
    """Raises UserError if one of a few of the videos at `known`, which have masks, has more or fewer frames than masks.

    names: what the masks of each video are looked up by. Masks of another frame rate would lie over the wrong frames.
    One more or less, as of a damaged end, is let pass, and so are boxes and videos that are no files on disk. So it
    does for masks on their side, as of a video that was turned only where it is shown.
    """
    from tbe.data.readers.base import DecodeError
    from tbe.data.readers.pyav_reader import PyAvReader  # takes seconds, which only those with masks need

    few = np.unique(np.linspace(0, len(known) - 1, min(NUM_COMPARED, len(known))).round().astype(int)).tolist()
    for index in [known[place] for place in few] if records.store is None else []:
        path, file = names[index], path_on_disk(records.path(index))
        place, video = masks.place(path), masks.video(path)
        if not os.path.isfile(file) or masks.is_boxes(path):
            continue
        try:
            count = len(mask_files(place)) if place.is_dir() else len(PyAvReader(1)(str(video)))
            num_frames = len(PyAvReader(1)(file))
            mask, picture = masks(path, file, [0]), picture_size(file)
        except DecodeError:  # said when it is to be read
            continue
        if abs(num_frames - count) > 1:
            raise UserError(f"data.masks: expected a mask of each of the {num_frames} frames of {path}, got {count}")
        if mask is not None and lies_on_its_side(mask.shape[1:], picture):
            got = f"{mask.shape[1]} x {mask.shape[2]}: turn them as the video is shown"
            raise UserError(f"data.masks: expected masks shaped like {path}, {picture[0]} x {picture[1]}, got {got}")


def check_one_video_each(masks: ActorMasks, paths: Sequence[str], split: str) -> None:
    """Raises UserError for two of these videos that are looked up at one place, where only one of them can have masks.

    They differ in their suffix, or lie outside the root in folders of the same name.
    """
    taken: dict[Path, str] = {}
    for path in paths:
        other = taken.setdefault(masks.place(path), path)
        if os.path.normpath(other) != os.path.normpath(path):
            raise UserError(
                f"data.masks: expected masks of one video at {masks.place(path)}, got two of {split} that have theirs "
                f"there, {other} and {path}: rename one"
            )


def lies_on_its_side(mask: Sequence[int], picture: Sequence[int]) -> bool:
    """Checks whether a mask (height, width) has the proportions of a picture that was turned by a quarter."""
    (high, wide), (height, width) = mask, picture
    tolerance = height + width  # a pixel off
    is_alike = abs(wide * height - high * width) <= tolerance
    return not is_alike and abs(high * height - wide * width) <= tolerance
