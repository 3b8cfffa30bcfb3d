"""Pictures that are wanted small, which a reader may make while it decodes them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tbe.data.readers.base import OpenVideo

# Where reducing in decoding was measured to pay, by 1.1 to 3 times; smaller pictures, or by less, take as long.
MIN_SIDE = 480
MIN_FACTOR = 2.5


@runtime_checkable
class ReducingReader(OpenVideo, Protocol):
    """A reader that can."""

    def reducing(self, short_side: int) -> OpenVideo:
        """The same, but pictures for which it `pays` come as small as `reduced_size` says, antialiased."""


def reducing(open_video: OpenVideo, short_side: int | None) -> OpenVideo:
    """A reader of videos whose pictures will be reduced to this short side: as it is, where it can't make use of it."""
    if short_side is None or not isinstance(open_video, ReducingReader):
        return open_video
    return open_video.reducing(short_side)


def pays(height: int, width: int, short_side: int | None) -> bool:
    """Whether pictures of this size had better be reduced while they are decoded; None is for whole ones."""
    return short_side is not None and min(height, width) >= max(MIN_SIDE, MIN_FACTOR * short_side)


def reduced_size(height: int, width: int, short_side: int, multiple: int = 1) -> tuple[int, int]:
    """Returns height and width with a short side of at most `short_side`, the aspect kept as torchvision's resize does.

    multiple: of which both sides are to be, as video codecs need it.
    """
    short = min(short_side, height, width)
    size = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    height, width = (max(multiple, round(side / multiple) * multiple) for side in size)
    return height, width
