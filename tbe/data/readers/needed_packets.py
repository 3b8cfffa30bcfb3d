"""The packets of a video that wanted pictures need, decoded by PyAV; the others are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from tbe.data.readers.file_facts import shown_stream

FAR = 50  # packets: what lies further ahead is jumped to, what lies nearer is read over
# Codecs whose pictures say truly that no other one uses them. HEVC says it of those that only higher layers may use,
# and pictures of VP9 and AV1 hand statistics on.
WITH_UNUSED = ("h264", "mpeg4", "mpeg2video", "mpeg1video")


class NeededPackets:
    """Decodes pictures by the times at which they are shown, of the packets of a video in the order of its file.

    A picture needs what lies between it and the last key frame before it. Of that, pictures that no other one uses are
    skipped, where that is sure. The others come as they do when all is decoded, to the last bit.
    """

    def __init__(self, packets: Sequence[Packet]):
        self.times = [packet.pts for packet in packets]
        self.places = {time: place for place, time in enumerate(self.times) if time is not None}
        self.keys = sorted(packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None)

    def frames(self, container: InputContainer, times: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames at these times, which rise; ends where one does not come."""
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
        context = stream.codec_context
        skips = context.name in WITH_UNUSED
        packets, place = container.demux(stream), -1
        for start, end in self._spans(times):
            if start > place + 1 and place >= 0:
                yield from context.decode(None)
                context.flush_buffers()
            if start > place + FAR:
                container.seek(self.times[start] or 0, stream=stream)
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

    def _spans(self, times: Sequence[int]) -> list[tuple[int, int]]:
        """The places of the first and the last packet of all stretches that the frames at these times need."""
        spans: list[tuple[int, int]] = []
        for time in times:
            place = bisect_right(self.keys, time)
            end = self.places[time]
            start = min(end, self.places[self.keys[place - 1]] if place else 0)
            if spans and start <= spans[-1][1] + 1:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans
