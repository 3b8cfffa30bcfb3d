"""Decodes the frames of a video as a player shows them, from the first packet to the last."""

from __future__ import annotations

import os
from collections.abc import Iterator

from av.container import InputContainer
from av.error import InvalidDataError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tbe.data.storage.stored_video import Video, size_of
from tbe.errors import UserError

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of the container
INDEXED = ("avi", MP4)  # containers with an index of all their packets


def shown_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yields all decoded frames in display order; frame numbers everywhere count in this order.

    Follows edit lists as FFmpeg does: packets that they hide are decoded, since others depend on them, but not shown.
    Skips one packet that the decoder refuses, as players do: many files end in a partial packet. Raises UserError at
    the second, and for an mp4 that ends within a packet: such a file is damaged.
    """
    num_refused = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError as error:
            num_refused += 1
            if num_refused > 1 or (packet.is_corrupt and container.format.name == MP4):
                raise UserError(f"expected decodable packets, got damaged ones ({error.strerror})") from error
            continue
        yield from frames  # type: ignore[misc]  # video frames, since the stream is video


def torn_at(path: Video | os.PathLike, container: InputContainer, stream: VideoStream) -> int | None:
    """Returns the decoding timestamp of the first packet that lies beyond the end of an mp4; None for a complete file.

    Always None with PyAV below 17, which does not expose a file's index.
    """
    entries = getattr(stream, "index_entries", []) if container.format.name == MP4 else []
    size = size_of(path)
    return next((entry.timestamp for entry in entries if entry.pos + entry.size > size), None)


def num_listed(stream: VideoStream) -> int:
    """Returns the number of shown packets in a file's index."""
    return sum(not entry.is_discard for entry in stream.index_entries)
