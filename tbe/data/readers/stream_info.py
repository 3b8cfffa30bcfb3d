"""What the head of a video file says, without decoding anything: a few milliseconds, mostly its opening."""

from __future__ import annotations

import os
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from tbe.data.opened_file import open_file
from tbe.data.orientation import is_mirrored
from tbe.data.readers.base import DecodeError, explained
from tbe.data.readers.shown_packets import LARGEST_NOT_CODED, ONE_EACH
from tbe.data.shown_frames import INDEXED, MP4
from tbe.data.storage.stored_video import Video, size_of, to_open

# What PyAV raises for files that are none, broken ones, and names that FFmpeg can't be given.
ERRORS = (av.error.FFmpegError, OSError, ValueError, EOFError)
# Codecs of which each packet that a file lists is a frame; of others a packet may hide one, which its bytes alone say.
FRAME_EACH = ("h264", "hevc", "mpeg4", *ONE_EACH)


class FileFacts(NamedTuple):
    """What decides which reader gets a file right.

    codec: FFmpeg's name. pixels: (width, height). is_indexed: whether the file lists all its packets, and is as long as
    they need. starts_with_key: whether the first packet can be decoded alone. is_cut: whether packets are not to be
    shown, as at the beginning of a file that was cut without encoding it anew.
    has_guessed_times: pictures are reordered in a container (AVI) that stores no times. is_mirrored: pictures are to be
    mirrored before they are shown. may_hide: packets that are listed may be no frames.
    """

    codec: str
    pixels: tuple[int, int]
    is_indexed: bool
    starts_with_key: bool
    is_cut: bool
    has_guessed_times: bool
    is_mirrored: bool = False
    may_hide: bool = False


def opened(path: Video) -> InputContainer:
    """A file that has a video stream; one of `ERRORS` for any other."""
    container = open_file(to_open(path))
    has_video = bool(container.streams.video)
    if has_video and shown_stream(container).codec_context is not None:
        return container
    container.close()
    raise ValueError(f"expected a video stream, found {'one of an unknown codec' if has_video else 'none'}")


def shown_stream(container: InputContainer) -> VideoStream:
    """Of several video streams that which FFmpeg prefers, as the other readers do: mostly the largest."""
    return container.streams.best("video")  # type: ignore[return-value]  # of any kind in the stub, and perhaps none


def file_facts(path: Video) -> FileFacts:
    """Reads the head of a file; a DecodeError for one that can't be opened or has no video stream."""
    container, facts = opened_with_facts(path)
    container.close()
    return facts


def refuse_mirrored(path: Video, library: str) -> None:
    """A DecodeError for a file whose pictures are to be mirrored, for a library that turns pictures at most."""
    is_there = not isinstance(path, str) or os.path.isfile(path)
    if is_there and is_mirrored(path):
        raise DecodeError(
            f"could not open {path}: expected pictures to be shown as they are or turned, got one to be mirrored, "
            f"which {library} does not do. Set reader=auto or reader=pyav"
        )


def opened_with_facts(path: Video) -> tuple[InputContainer, FileFacts]:
    """A file, of which nothing but the head is read, and what that says; errors as of `file_facts`."""
    try:
        container = opened(path)
        return container, _facts(path, container)
    except ERRORS as error:
        raise DecodeError(explained(path, "open", error)) from error


def _facts(path: Video, container: InputContainer) -> FileFacts:
    stream = shown_stream(container)
    context = stream.codec_context
    # PyAV below 17 does not tell: what such a file lists is not known.
    entries = list(getattr(stream, "index_entries", [])) if container.format.name in INDEXED else []
    return FileFacts(
        codec=context.name,
        pixels=(context.width, context.height),
        is_indexed=bool(entries) and max(part.pos + part.size for part in entries) <= size_of(path),
        starts_with_key=bool(entries) and entries[0].is_keyframe,
        is_cut=any(part.is_discard for part in entries),
        has_guessed_times=container.format.name == "avi" and bool(context.has_b_frames),
        may_hide=context.name not in FRAME_EACH
        or (context.name == "mpeg4" and any(part.size <= LARGEST_NOT_CODED for part in entries)),
        is_mirrored=container.format.name == MP4 and is_mirrored(path),
    )
