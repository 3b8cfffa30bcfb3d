"""Decoding a video from its first to its last frame, and the sizes that its pictures are brought to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from tbe.data.orientation import UPRIGHT, Orientation
from tbe.data.shown_frames import shown_frames, torn_at
from tbe.data.sources.unicode_forms import found_path
from tbe.errors import UserError


class Source(NamedTuple):
    """An open video: its frames in the order they are shown, upright, and how many of them make a second."""

    frames: Iterator[av.VideoFrame]
    fps: Fraction


@contextmanager
def opened_video(path: str | os.PathLike) -> Iterator[Source]:
    """Opens the video stream that players choose; ValueError for a file without one, FFmpegError for one it can't read.

    Sound is passed over. One thread: videos are worked on side by side.
    """
    # Some HMDB51 files have metadata that are no UTF-8.
    with av.open(found_path(os.fspath(path)), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        if stream is None:
            raise UserError(f"{path}: expected a video stream, got none")
        fps = stream.average_rate or stream.guessed_rate
        if not fps:
            raise UserError(f"{path}: expected a number of frames a second, got none")
        stream.codec_context.thread_count = 1
        if torn_at(container.name, container, stream) is not None:
            raise UserError(f"{path}: expected all that it lists, got a torn file: it ends before")
        yield Source(map(upright, shown_frames(container, stream)), fps)


def upright(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as it is to be shown: phones store pictures lying on a side, or mirrored, and say so."""
    orientation = Orientation.of(frame)
    if orientation == UPRIGHT:
        return frame
    turned = orientation(frame.to_ndarray(format="rgb24"))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24")


def reduced_size(height: int, width: int, short_side: int, multiple: int = 1) -> tuple[int, int]:
    """Height and width with a short side of at most this, of about the same shape, in multiples of `multiple`."""
    scale = min(1.0, short_side / min(height, width))
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in (height, width))
    return height, width
