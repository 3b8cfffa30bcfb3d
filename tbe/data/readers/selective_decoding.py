"""The packets of a video that wanted pictures need, decoded by PyAV; the others are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from tbe.data.readers.stream_info import shown_stream

ANEW = ("new_extradata", "palette")  # side data that changes what decoders were told at the beginning
FAR = 50  # packets: what lies further ahead is jumped to, what lies nearer is read over
# Codecs whose pictures say truly that no other one uses them. HEVC says it of those that only higher layers may use,
# and pictures of VP9 and AV1 hand statistics on.
WITH_UNUSED = ("h264", "mpeg4", "mpeg2video", "mpeg1video")


# Containers that have a picture a packet, whole, and a time for each. In others a packet may be half of one.
WHOLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
BY_DECODING_TIME = ("mpegts", "mpeg")  # containers in which one jumps by when packets are decoded, not shown


class PacketFacts(NamedTuple):
    """What is kept of a packet: when it is shown and decoded, and what it is."""

    pts: int | None
    dts: int | None
    size: int
    is_keyframe: bool
    is_discard: bool
    starts_anew: bool  # whether it changes what decoders were told at the beginning

    @classmethod
    def of(cls, packet: Packet) -> PacketFacts:
        side_data = packet.iter_sidedata() if hasattr(packet, "iter_sidedata") else ()  # PyAV below 16 does not tell
        anew = any(entry.data_type in ANEW for entry in side_data)  # a quarter of the time of has_sidedata
        return cls(packet.pts, packet.dts, packet.size, packet.is_keyframe, packet.is_discard, anew)


class NeededPackets:
    """Decodes pictures by the times at which they are shown, of the packets of a video in the order of its file.

    A picture needs what lies between it and the last key frame before it. Of that, pictures that no other one uses are
    skipped, where that is sure. The others come as they do when all is decoded, to the last bit.
    is_known: whether times tell packets apart, and any stretch can be decoded without what lies before it.
    """

    def __init__(self, packets: Sequence[PacketFacts]):
        self.packets = packets
        self.places = {packet.pts: place for place, packet in enumerate(packets) if packet.pts is not None}
        self.keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        self.is_known = len(self.places) == len(packets) and not any(packet.starts_anew for packet in packets[1:])

    def frames(self, container: InputContainer, times: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames at these times, which rise; ends where one does not come.

        container: a file from which nothing was decoded; if not of `WHOLE`, nothing was read either.
        """
        left = iter(times)
        time = next(left, None)
        for frame in self._decoded(container, times):
            if frame.pts is None or time is None or frame.pts > time:
                return
            if frame.pts == time:
                yield frame
                time = next(left, None)

    def _decoded(self, container: InputContainer, times: Sequence[int]) -> Iterator[VideoFrame]:
        """What is decoded for the frames at these times, in the order in which it is shown."""
        stream, wanted = shown_stream(container), set(times)
        context, is_whole = stream.codec_context, container.format.name in WHOLE
        skips = is_whole and context.name in WITH_UNUSED
        packets, place = container.demux(stream), -1
        for start, end in self._spans(times, further=0 if is_whole else 1):
            if start > place + 1 and place >= 0:
                yield from context.decode(None)
                context.flush_buffers()
            if start > place + FAR or (is_whole and place < 0):
                self._jump(container, start)
                packets, place = container.demux(stream), -1
            for packet in packets:
                if packet.pts not in self.places or (place < 0 and self.places[packet.pts] > start):
                    return  # the file ends, or is read in another order than before
                place = self.places[packet.pts]
                if place >= start:
                    context.skip_frame = "NONREF" if skips and packet.pts not in wanted else "DEFAULT"
                    yield from context.decode(packet)
                if place >= end:
                    break
        yield from context.decode(None)

    def _jump(self, container: InputContainer, place: int) -> None:
        packet = self.packets[place]
        is_by_dts = container.format.name in BY_DECODING_TIME and packet.dts is not None
        container.seek((packet.dts if is_by_dts else packet.pts) or 0, stream=shown_stream(container))

    def _spans(self, times: Sequence[int], further: int) -> list[tuple[int, int]]:
        """The places of the first and the last packet of all stretches that the frames at these times need.

        further: how many packets more, as far as there are.
        """
        spans: list[tuple[int, int]] = []
        for time in times:
            end = self.places[time]
            start = self._key_before(end, time)
            end = min(end + further, len(self.packets) - 1)
            while spans and start <= spans[-1][1] + 1:  # they touch
                before, last = spans.pop()
                start, end = min(start, before), max(end, last)
            spans.append((start, end))
        return spans

    def _key_before(self, place: int, time: int) -> int:
        """The place of the last key frame that comes before a packet and is not shown after it; else the beginning."""
        number = bisect_right(self.keys, place)
        while number:
            number -= 1
            pts = self.packets[self.keys[number]].pts
            if pts is not None and pts <= time:
                return self.keys[number]
        return 0
