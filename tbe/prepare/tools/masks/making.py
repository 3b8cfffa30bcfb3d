"""Makes the masks of one video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tbe.data.readers.decode_resize import reduced_size
from tbe.data.video_writer import video_file
from tbe.errors import UserError
from tbe.prepare.common.decoding import opened_video, spread_frames
from tbe.prepare.common.making import mp4_name
from tbe.prepare.tools.masks.finding import Finder, Video

# With its macroblock tree, x264's output differs from run to run, even on one thread.
OPTIONS = {"crf": "12", "preset": "veryfast", "x264-params": "mbtree=0"}
MOST = 0.5  # of the picture: more foreground than that is rarely people


class Masked(NamedTuple):
    """The masks made of one video: foreground is its mean share of a frame, and `without` the frames that have none."""

    frames: int
    height: int
    width: int
    foreground: float
    without: int
    doubt: str


@dataclass(frozen=True)
class Masking:
    """Writes the mattes of a video below root as one below out, atomically.

    finder: makes what finds people; it is made in each process. short_side: of the masks, at most, in pixels.
    """

    root: Path
    out: Path
    finder: Callable[[], Finder]
    short_side: int

    def __call__(self, path: str) -> Masked:
        """Raises UserError for a video without frames, or without any foreground."""
        with opened_video(self.root / path) as source:
            first = next(source.frames, None)
            if first is None:
                raise UserError("expected frames, got none")
            height, width = reduced_size(first.height, first.width, self.short_side, multiple=2)
            fps = source.fps
        mattes, doubt = self.finder()(self._video(self.root / path, height, width))
        shares = []
        with video_file(self.out / mp4_name(path), (height, width), fps, options=OPTIONS) as add:
            for matte in mattes:
                levels = (255 * matte).round().astype(np.uint8)
                add(av.VideoFrame.from_ndarray(np.repeat(levels[..., None], 3, axis=2), format="rgb24"))
                shares.append(float((levels > 127).mean()))
            if not any(shares):
                why = f" ({doubt})" if doubt else ""
                raise UserError(f"expected somebody, found no foreground in any of its {len(shares)} frames{why}")
        share = float(np.mean(shares))
        if not doubt and share > MOST:
            doubt = f"{share:.0%} of the picture is foreground: a camera that moves?"
        return Masked(len(shares), height, width, round(share, 4), shares.count(0), doubt)

    def _video(self, file: Path, height: int, width: int) -> Video:
        reformatter = VideoReformatter()

        def picture(frame: av.VideoFrame) -> np.ndarray:
            return reformatter.reformat(frame, width, height, "rgb24", interpolation="AREA").to_ndarray()

        def frames() -> Iterator[np.ndarray]:
            with opened_video(file) as source:
                yield from map(picture, source.frames)

        def sample(most: int) -> list[np.ndarray]:
            with opened_video(file) as source:
                return spread_frames(source.frames, most, picture)

        return Video(frames, sample)
