"""Writes frames as a video file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path

import av
import numpy as np

from tbe.runs import replacing

CONTAINERS = {".mp4": "mp4", ".avi": "avi", ".mkv": "matroska"}


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray,
    fps: float | Fraction,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    gop: int = 12,
) -> None:
    """Encodes RGB frames (T, H, W, 3) uint8, as `video_file` does; raises ValueError for an array of another form."""
    if frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0 or frames.dtype != np.uint8:
        raise ValueError(f"{path}: expected frames (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    with video_file(path, frames.shape[1:3], fps, codec, options, gop) as add:
        for frame in frames:
            add(av.VideoFrame.from_ndarray(frame, format="rgb24"))


@contextmanager
def video_file(
    path: str | os.PathLike,
    size: tuple[int, int],
    fps: float | Fraction,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    gop: int = 12,
) -> Iterator[Callable[[av.VideoFrame], None]]:
    """Opens a video of this height and width for writing and yields a function that adds a frame; writes atomically.

    `codec` and `options` are FFmpeg's: `libx264` for .mp4, `mpeg4` for .avi; `gop` is the largest number of frames
    from one key frame to the next. Frames are spaced at `fps`, whatever their own timestamps, and keep the color space
    of the first. Encodes in one thread; x264 still writes the same bytes in each run only with
    `{"x264-params": "mbtree=0"}`, and if PyAV does not find decord's copy of it loaded.
    Raises ValueError for frames that cannot be encoded as yuv420p, or a suffix of no known container.
    """
    path = Path(path)
    _check(path, size, fps)
    kind = CONTAINERS[path.suffix.lower()]
    with replacing(path) as part, av.open(os.fspath(part), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        yield partial(_encode, container, stream, count())
        container.mux(stream.encode(None))


def _encode(
    container: av.container.OutputContainer, stream: av.VideoStream, numbers: Iterator[int], frame: av.VideoFrame
) -> None:
    if not stream.codec_context.is_open and frame.format.name != "rgb24":
        stream.codec_context.color_range = frame.color_range
        stream.codec_context.colorspace = frame.colorspace
    frame.pts, frame.time_base = next(numbers), 1 / stream.codec_context.framerate
    container.mux(stream.encode(frame))


def _check(path: Path, size: tuple[int, int], fps: float | Fraction) -> None:
    if path.suffix.lower() not in CONTAINERS:
        raise ValueError(f"{path}: expected a suffix out of {', '.join(CONTAINERS)}, got {path.suffix!r}")
    if min(size) < 2 or size[0] % 2 or size[1] % 2:
        raise ValueError(f"{path}: expected an even height and width, got {size[0]} x {size[1]}")
    if not fps > 0:
        raise ValueError(f"{path}: expected fps > 0, got {fps}")
