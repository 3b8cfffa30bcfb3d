"""Writes a video whose frames are made from those of another video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np

from tbe.data.video_writer import video_file
from tbe.errors import UserError
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.making import Made

Pictures = Iterator[np.ndarray]  # (H, W, 3) uint8, RGB


def write_changed(video: Path, target: Path, change: Callable[[Pictures], Pictures], crf: int) -> Made:
    """Writes change(frames of the video), all of one even size; writes nothing if `change` raises."""
    with opened_video(video) as source:
        pictures = change(frame.to_ndarray(format="rgb24") for frame in source.frames)
        first = next(pictures, None)
        if first is None:
            raise UserError(f"{video}: expected frames, got none")
        size = first.shape[:2]
        with video_file(target, size, source.fps, options={"crf": str(crf)}) as add:
            num_frames = 0
            for picture in chain([first], pictures):
                add(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
                num_frames += 1
    return Made(num_frames, *size)
