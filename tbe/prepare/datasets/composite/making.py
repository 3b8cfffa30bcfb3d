"""Makes the videos of a plan."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from tbe.data.sources.mask_counts import lies_on_its_side
from tbe.data.video_writer import video_file
from tbe.errors import UserError
from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.making import Made
from tbe.prepare.common.mattes import opened_matte, paired
from tbe.prepare.datasets.composite.backgrounds import behind
from tbe.prepare.datasets.composite.blending import blend, coverage, shrunk
from tbe.prepare.datasets.composite.pictures import Covering, Size

MASKS = "masks"
MASK_CRF = 12
ABOVE = 127  # level of a matte: what is more than half covered counts


class Recipe(NamedTuple):
    """The inputs of a clip: a filmed video, and the file of a place, None for the filmed one."""

    source: str
    place: Path | None


@dataclass(frozen=True)
class Compositing:
    """Writes <out>/<clip> and, before it, its matte as <out>/masks/<clip>, each atomically."""

    root: Path
    masks: Path
    out: Path
    recipes: dict[str, Recipe]
    size: Size
    moves: bool
    shrink: int
    crf: int
    preset: str

    def __call__(self, clip: str) -> Made:
        recipe = self.recipes[clip]
        with ExitStack() as files:
            source = files.enter_context(opened_video(self.root / recipe.source))
            matte = files.enter_context(opened_matte(recipe.source, self.masks))
            first = next(source.frames, None)
            if first is None:
                raise UserError(f"{recipe.source}: expected frames, got none")
            size = self.size.of(first.height, first.width)
            # The file opened last appears first.
            add = files.enter_context(video_file(self.out / clip, size, source.fps, options=self._options(self.crf)))
            options = self._options(MASK_CRF)
            add_mask = files.enter_context(video_file(self.out / MASKS / clip, size, source.fps, options=options))
            cover, num_frames, highest = Covering(size), 0, 0
            for frame, levels in paired(recipe.source, chain([first], source.frames), matte):
                picture, mask = cover(frame, "rgb24"), cover(in_shape_of(frame, self._shrunk(levels)), "gray")
                highest = max(highest, int(mask.max()))
                if recipe.place:
                    picture = blend(picture, coverage(mask), behind(recipe.place, size, num_frames, self.moves))
                add(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
                add_mask(av.VideoFrame.from_ndarray(np.repeat(mask[..., None], 3, axis=2), format="rgb24"))
                num_frames += 1
            if highest <= ABOVE:
                raise UserError(
                    f"{recipe.source}: expected mattes with somebody in levels up to 255, got none above {highest}"
                )
        return Made(num_frames, *size)

    def _shrunk(self, levels: av.VideoFrame) -> av.VideoFrame:
        matte = shrunk(levels.to_ndarray(format="gray"), self.shrink)
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(matte), format="gray")

    def _options(self, crf: int) -> dict[str, str]:
        # With its macroblock tree, x264's output differs from run to run, even on one thread.
        return {"crf": str(crf), "preset": self.preset, "x264-params": "mbtree=0"}


def in_shape_of(frame: av.VideoFrame, matte: av.VideoFrame) -> av.VideoFrame:
    """Returns a matte in the proportions of its frame: one of others, as detectors give, shows the whole frame, too.

    Raises UserError for one that lies on its side.
    """
    shapes = (matte.height, matte.width), (frame.height, frame.width)
    if lies_on_its_side(*shapes):
        (high, wide), (height, width) = shapes
        raise UserError(
            f"expected mattes that stand as the video is shown, {height} x {width}, got {high} x {wide}: turn them"
        )
    is_alike = abs(matte.width * frame.height - matte.height * frame.width) <= frame.width + frame.height  # a pixel off
    return matte if is_alike else matte.reformat(frame.width, frame.height, "gray", interpolation="AREA")
