"""Draws some videos with their masks, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import av
import numpy as np

from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.making import mp4_name
from tbe.prepare.common.sheets import in_rows, spread, write_sheet

SHOWN, ACROSS = 24, 4  # videos
HEIGHT, WIDTH = 108, 192  # of a picture
BEHIND = np.array([0, 160, 80], np.float32)  # a color that few people wear


def draw_sheet(doubtful: Sequence[str], others: Sequence[str], root: Path, out: Path) -> Path:
    """Writes masks_sheet.png, and returns it: the middle frame of some videos, and beside it its foreground on green.

    Up to half of them are `doubtful` videos, which come first.
    """
    first = spread(doubtful, SHOWN // 2)
    chosen = first + spread(others, SHOWN - len(first))
    file = out / "masks_sheet.png"
    write_sheet(in_rows([_pair(root / path, out / mp4_name(path)) for path in chosen], ACROSS), file)
    return file


def _pair(video: Path, masks: Path) -> np.ndarray:
    with opened_video(masks) as source:
        count = sum(1 for _ in source.frames)
    picture, matte = (_picture(file, count // 2) for file in (video, masks))
    share = matte.astype(np.float32) / 255
    cut = share * picture + (1 - share) * BEHIND
    return np.concatenate([picture, cut.round().astype(np.uint8)], axis=1)


def _picture(file: Path, number: int) -> np.ndarray:
    """Returns a frame, scaled to fit into a picture with black borders, uint8 (HEIGHT, WIDTH, 3)."""
    with opened_video(file) as source:
        frame: av.VideoFrame = next(islice(source.frames, number, None))
        scale = min(HEIGHT / frame.height, WIDTH / frame.width)
        height, width = max(1, round(scale * frame.height)), max(1, round(scale * frame.width))
        scaled = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    picture[top : top + height, left : left + width] = scaled
    return picture
