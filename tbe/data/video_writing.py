"""Writing frames as a video file."""

from __future__ import annotations

import os
import uuid
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CONTAINERS = {".mp4": "mp4", ".avi": "avi", ".mkv": "matroska"}


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray,
    fps: float,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    gop: int = 12,
) -> None:
    """Encodes frames (T, H, W, 3) uint8, RGB; the file appears whole or not at all.

    `codec` and `options` are FFmpeg's: `libx264` for .mp4, `mpeg4` for .avi; `gop` is the largest
    number of frames from one key frame to the next. One thread, but x264 writes the same bytes in each run
    only with `{"x264-params": "mbtree=0"}`, and as long as it is not decord's that PyAV finds loaded.
    ValueError for frames that cannot be encoded as yuv420p, or for a suffix of no known container.
    """
    path = Path(path)
    _check(path, frames, fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unique, so that two processes that write the same video do not write into each other's file.
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with av.open(os.fspath(part), "w", format=CONTAINERS[path.suffix.lower()]) as container:
            stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = gop
            stream.codec_context.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _check(path: Path, frames: np.ndarray, fps: float) -> None:
    if path.suffix.lower() not in CONTAINERS:
        raise ValueError(f"{path}: expected a suffix out of {', '.join(CONTAINERS)}, got {path.suffix!r}")
    if frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0 or frames.dtype != np.uint8:
        raise ValueError(f"{path}: expected frames (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(f"{path}: expected an even height and width, got {frames.shape[1]} x {frames.shape[2]}")
    if not fps > 0:
        raise ValueError(f"{path}: expected fps > 0, got {fps}")
