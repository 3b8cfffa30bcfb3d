"""The frames of a video as a player shows them: what decoding it from its first packet to its last gives."""

from __future__ import annotations

import os
from collections.abc import Iterator

from av.container import InputContainer
from av.error import InvalidDataError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tbe.errors import UserError

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of the container
INDEXED = ("avi", MP4)  # containers with an index of all their packets


def shown_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decodes all frames, in the order in which they are shown; of this order are the numbers of frames everywhere.

    Edit lists are honored as FFmpeg does it: packets that they hide are decoded, since others need them, and not shown.
    One packet that the decoder refuses is passed over, as players do: many a file ends in half a one. UserError at the
    second, and where an mp4 ends within one: such a file is damaged.
    """
    num_refused = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError as error:
            num_refused += 1
            if num_refused > 1 or (packet.is_corrupt and container.format.name == MP4):
                raise UserError(f"expected packets that decode, got damaged ones ({error.strerror})") from error
            continue
        yield from frames  # type: ignore[misc]  # of video, as the stream is


def torn_at(path: str | os.PathLike, container: InputContainer, stream: VideoStream) -> int | None:
    """When the first packet is decoded that an mp4 lists beyond the end of its file; None for a whole file.

    PyAV below 17 does not tell what a file lists: None.
    """
    entries = getattr(stream, "index_entries", []) if container.format.name == MP4 else []
    size = os.path.getsize(path)
    return next((entry.timestamp for entry in entries if entry.pos + entry.size > size), None)


def num_listed(stream: VideoStream) -> int:
    """How many packets to be shown a file lists."""
    return sum(not entry.is_discard for entry in stream.index_entries)
