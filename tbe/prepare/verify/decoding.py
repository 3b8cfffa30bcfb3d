"""Decoding a whole video."""

from __future__ import annotations

from typing import NamedTuple

FRAMES_AT_ONCE = 8


class Decoded(NamedTuple):
    """What a video is once all of it was decoded."""

    num_frames: int
    height: int
    width: int


def decode_video(path: str) -> Decoded:
    """Decodes all frames of a video on the CPU, keeping few of them at a time; DecodeError if one can't be."""
    from tbe.data.readers import DecodeError, DecordReader  # takes seconds, which only the decoding processes need

    video = DecordReader("cpu")(path)
    num_frames = height = width = 0
    for start in range(0, len(video), FRAMES_AT_ONCE):
        frames = video.frames(range(start, min(start + FRAMES_AT_ONCE, len(video))))
        num_frames += len(frames)
        height, width = frames.shape[-2:]
    if not num_frames:
        raise DecodeError(f"{path}: expected frames, got none")
    return Decoded(num_frames, height, width)
