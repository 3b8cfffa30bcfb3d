"""How many frames a packet shows, told from its first bytes without decoding it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from av.packet import Packet
from av.video.stream import VideoStream

# A function of the packets of a video, in the order of its file: how many frames each shows, None for what only
# decoding tells.
Shown = Callable[[Packet], int | None]

ONE_EACH = (
    *("libdav1d", "libaom-av1", "av1", "mpeg1video", "mpeg2video", "mjpeg", "ffv1", "huffyuv", "ffvhuff", "utvideo"),
    *("png", "rawvideo", "prores", "dnxhd"),
)
VOP = b"\0\0\1\xb6"  # what a picture of MPEG-4 begins with
LARGEST_NOT_CODED = 19  # bytes; FFmpeg takes no larger packet for one that repeats a picture


def shown_by(stream: VideoStream) -> Shown:
    """The function for a stream of which nothing was read."""
    context = stream.codec_context
    name, head = context.codec.name, context.extradata or b""
    if name in ("h264", "hevc"):
        if not head or head[0] != 1:  # packets are divided by start codes, of which none can be wrong
            return _one
        is_hevc = name == "hevc"
        width = (head[21 if is_hevc else 4] & 3) + 1 if len(head) > 22 or (len(head) > 6 and not is_hevc) else 4
        return lambda packet: _of_units(packet, width, is_hevc)
    special: dict[str, Shown] = {"mpeg4": _Mpeg4(), "vp8": _of_vp8, "vp9": _of_vp9}
    return special.get(name, _one if name in ONE_EACH else _unknown)


def _one(packet: Packet) -> int | None:
    return 1 if packet.size > 1 else None  # AVI says with a byte that no picture came


def _unknown(packet: Packet) -> None:
    return None


def _of_units(packet: Packet, width: int, is_hevc: bool) -> int | None:
    """H.264 and HEVC in mp4: units that begin with their lengths, of so many bytes; one of them must be a picture's."""
    data = memoryview(packet)
    place, end, has_picture = 0, len(data), False
    while end - place >= 4:
        size = int.from_bytes(data[place : place + width], "big")
        place += width
        if not 0 < size <= end - place:
            return None
        has_picture |= data[place] < 64 if is_hevc else data[place] & 31 in (1, 2, 5)
        place += size
    return 1 if has_picture else None


class _Mpeg4:
    """MPEG-4: a packet may repeat a picture, which shows nothing, or stand for the second of two in one before it.

    XviD packs the first of the pictures between two others with the latter, and lets a small packet follow the last.
    """

    def __init__(self) -> None:
        self.before: deque[Packet] = deque(maxlen=8)  # since the last small one; more are never between

    def __call__(self, packet: Packet) -> int | None:
        if packet.size > LARGEST_NOT_CODED:
            self.before.append(packet)
            return 1
        is_second = any(bytes(before).count(VOP) > 1 for before in reversed(self.before))
        self.before.clear()
        if is_second:
            return 1
        return None if VOP in bytes(packet) else 0


def _of_vp8(packet: Packet) -> int | None:
    return memoryview(packet)[0] >> 4 & 1 if packet.size > 2 else None


def _of_vp9(packet: Packet) -> int | None:
    """VP9: a packet of several frames ends with an index of their sizes; all of them but one are hidden."""
    data = memoryview(packet)
    sizes, last = [len(data)], data[-1]
    if last >> 5 == 0b110:
        count, width = (last & 7) + 1, (last >> 3 & 3) + 1
        index = bytes(data[-2 - count * width :])
        if len(index) == 2 + count * width and index[0] == last:
            sizes = [int.from_bytes(index[1 + n * width : 1 + (n + 1) * width], "little") for n in range(count)]
    if sum(sizes) > len(data):
        return None
    places = [sum(sizes[:number]) for number, size in enumerate(sizes) if size]
    shown = [_shows_vp9(data[place]) for place in places]
    return sum(shown) if sum(shown) <= 1 else None


def _shows_vp9(first: int) -> int:
    """Whether a frame of VP9 that begins with this byte is shown, or shows another one."""
    is_longer = first >> 4 & 3 == 3  # the third profile has a bit more before them
    shows_existing, _, is_shown = ((first << is_longer) >> bit & 1 for bit in (3, 2, 1))
    return shows_existing | is_shown
