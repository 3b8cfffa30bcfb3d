"""Compares how many masks and how many frames a few videos have."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from tbe.data.sources.actor_masks import ActorMasks, mask_files
from tbe.data.sources.records import Records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import UserError

NUM_COMPARED = 5  # videos of a split


def check_mask_counts(masks: ActorMasks, records: Records, known: Sequence[int]) -> None:
    """Raises UserError if one of a few of the videos at `known`, which have masks, has more or fewer frames than masks.

    Masks of another frame rate would lie over the wrong frames. One more or less, as of a damaged end, is let pass, and
    so are boxes and videos that are no files on disk.
    """
    from tbe.data.readers.base import DecodeError
    from tbe.data.readers.pyav_reader import PyAvReader  # takes seconds, which only those with masks need

    few = np.unique(np.linspace(0, len(known) - 1, min(NUM_COMPARED, len(known))).round().astype(int)).tolist()
    for index in [known[place] for place in few] if records.store is None else []:
        path, file = os.fsdecode(records.paths[index]), path_on_disk(records.path(index))
        place, video = masks.place(path), masks.video(path)
        if not os.path.isfile(file) or masks.is_boxes(path):
            continue
        try:
            count = len(mask_files(place)) if place.is_dir() else len(PyAvReader(1)(str(video)))
            num_frames = len(PyAvReader(1)(file))
        except DecodeError:  # said when it is to be read
            continue
        if abs(num_frames - count) > 1:
            raise UserError(f"data.masks: expected a mask of each of the {num_frames} frames of {path}, got {count}")
