"""Decodes a video from its first to its last frame, and computes the size to downscale frames to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NamedTuple, TypeVar

import av
import numpy as np

from tbe.data.opened_file import open_file
from tbe.data.orientation import UPRIGHT, Orientation
from tbe.data.shown_frames import shown_frames, torn_at
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import UserError

T = TypeVar("T")


class Source(NamedTuple):
    """An open video: its frames, upright and in display order, and its frame rate."""

    frames: Iterator[av.VideoFrame]
    fps: Fraction


@contextmanager
def opened_video(path: str | os.PathLike) -> Iterator[Source]:
    """Opens the video stream that players choose, in one thread, since videos are processed in parallel.

    Raises UserError for a file without a video stream or frame rate, or cut off, FFmpegError for an unreadable one.
    """
    with open_file(path_on_disk(os.fspath(path))) as container:
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


def spread_frames(frames: Iterable[av.VideoFrame], most: int, convert: Callable[[av.VideoFrame], T]) -> list[T]:
    """Returns at most this many frames, evenly spread from the first on, converted; few others are converted."""
    kept: list[T] = []
    every = 1
    for number, frame in enumerate(frames):
        if number % every:
            continue
        kept.append(convert(frame))
        if len(kept) > most:  # the length of a video is known only at its end
            kept, every = kept[::2], 2 * every
    return kept


def upright(frame: av.VideoFrame) -> av.VideoFrame:
    """Returns the frame as displayed: phones store frames rotated or mirrored, with a display matrix."""
    orientation = Orientation.of(frame)
    if orientation == UPRIGHT:
        return frame
    oriented = orientation(frame.to_ndarray(format="rgb24"))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(oriented), format="rgb24")
