"""Decodes a video from its first to its last frame, and computes the size to downscale frames to."""

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
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import UserError


class Source(NamedTuple):
    """An open video: its frames, upright and in display order, and its frame rate."""

    frames: Iterator[av.VideoFrame]
    fps: Fraction


@contextmanager
def opened_video(path: str | os.PathLike) -> Iterator[Source]:
    """Opens the video stream that players choose, in one thread, since videos are processed in parallel.

    Raises UserError for a file without a video stream or frame rate, or cut off, FFmpegError for an unreadable one.
    """
    # Some HMDB51 files have metadata that is not UTF-8.
    with av.open(path_on_disk(os.fspath(path)), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        if stream is None:
            raise UserError(f"{path}: expected a video stream, got none")
        fps = stream.average_rate or stream.guessed_rate
        if not fps:
            raise UserError(f"{path}: expected a frame rate, got none")
        stream.codec_context.thread_count = 1
        if torn_at(container.name, container, stream) is not None:
            raise UserError(f"{path}: expected all packets of its index, got a file that is cut off before the last")
        yield Source(map(upright, shown_frames(container, stream)), fps)


def upright(frame: av.VideoFrame) -> av.VideoFrame:
    """Returns the frame as displayed: phones store frames rotated or mirrored, with a display matrix."""
    orientation = Orientation.of(frame)
    if orientation == UPRIGHT:
        return frame
    oriented = orientation(frame.to_ndarray(format="rgb24"))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(oriented), format="rgb24")
