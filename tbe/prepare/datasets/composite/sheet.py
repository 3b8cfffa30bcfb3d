"""Draws a contact sheet of some of the videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.sheets import in_rows, spread, write_sheet
from tbe.prepare.datasets.composite.pictures import Covering
from tbe.prepare.datasets.composite.plan import SPLITS, Clip

ROWS = 8  # of either half


def draw_sheet(clips: Sequence[Clip], out: Path) -> Path | None:
    """Writes sheet.png, and returns it; None without any video.

    One row per test actor, with its videos in iid, swap, novel and plain, for up to ROWS of them; then up to as many
    rows of train.
    """
    existing = {clip.path: clip for clip in clips if (out / clip.path).is_file()}
    tested: dict[str, list[Clip]] = {}
    for split in SPLITS[1:]:
        for clip in existing.values():
            if clip.split == split:
                tested.setdefault(clip.source, []).append(clip)
    trained = [clip for clip in existing.values() if clip.split == "train"]
    across = max(map(len, tested.values()), default=4)
    rows = spread(list(tested.values()), ROWS)
    chosen = spread(trained, ROWS * across)
    rows += [chosen[start : start + across] for start in range(0, len(chosen), across)]
    if not rows:
        return None
    first = _middle(out / rows[0][0].path)
    cover = Covering(first.shape[:2])
    pictures = []
    for row in rows:
        frames = [cover(av.VideoFrame.from_ndarray(_middle(out / clip.path), format="rgb24"), "rgb24") for clip in row]
        pictures.append(in_rows([*frames, *[np.zeros_like(first)] * (across - len(row))], across))
    file = out / "sheet.png"
    write_sheet(np.concatenate(pictures), file)
    return file


def _middle(video: Path) -> np.ndarray:
    with opened_video(video) as source:
        frames = [frame.to_ndarray(format="rgb24") for frame in source.frames]
    return frames[len(frames) // 2]
