"""What PyAV decodes, as pictures."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from tbe.data.orientation import Orientation
from tbe.data.readers.decode_resize import pays, reduced_size

# Since 17 it starts a thread for each core, in each worker of a loader, at a third more work in all.
ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class Pictures:
    """Makes frames of one video pictures uint8 (H, W, 3) as they are to be shown, reduced where that `pays`."""

    def __init__(self, short_side: int | None = None):
        self.short_side = short_side
        self.reformatter = VideoReformatter()
        self.orientation: Orientation | None = None  # one for a video, as players take it; to ask each frame takes long
        self.graphs: dict[tuple[int, int, str], Graph] = {}

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        if self.short_side is not None and pays(frame.height, frame.width, self.short_side):
            graph = self._graph(frame, self.short_side)
            graph.vpush(frame)
            picture = graph.vpull()
        else:
            picture = self.reformatter.reformat(frame, format="rgb24", **ONE_THREAD)
        if self.orientation is None:
            self.orientation = Orientation.of(frame)
        return self.orientation(picture.to_ndarray())

    def _graph(self, frame: VideoFrame, short_side: int) -> Graph:
        """FFmpeg's filters for frames like this one; the reformatter, which can scale too, does it less exactly."""
        kind = (frame.height, frame.width, frame.format.name)
        if kind not in self.graphs:
            height, width = reduced_size(frame.height, frame.width, short_side)
            time_base = frame.time_base or Fraction(1)  # the last frames of a stretch come without one
            graph = Graph()
            graph.link_nodes(
                graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base),
                # A triangle as wide as the step between pixels, as antialiased resizing has it.
                graph.add("scale", f"{width}:{height}:flags=bilinear:threads=1"),
                graph.add("format", "rgb24"),
                graph.add("buffersink"),
            ).configure()
            self.graphs[kind] = graph
        return self.graphs[kind]
