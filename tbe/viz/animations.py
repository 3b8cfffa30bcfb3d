"""Draws clips as animations (GIF, MP4) and as strips of frames (PNG)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tbe.data.video_writer import write_video
from tbe.viz.grid import Sheet


def draw_videos(file: Path, shown: dict[str, np.ndarray], titles: Sequence[str], fps: float) -> None:
    """Draws clips of V videos with these titles; shown: name -> clips uint8 (V, T, S, S, 3).

    Writes `<file>.gif` and `<file>.mp4`, where they play together, one row per video, and `<file>.png`, their frames.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_films(file, list(zip(*shown.values(), strict=True)), titles, list(shown), fps)
    write_strips(file.with_name(file.name + ".png"), shown, titles)


def write_films(
    file: Path,
    rows: Sequence[Sequence[np.ndarray]],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
    fps: float,
) -> None:
    """Writes a table of clips uint8 (T, S, S, 3), playing together, as `<file>.gif` and `<file>.mp4`."""
    sheet = Sheet(row_titles, column_titles)
    num_frames = max(len(clip) for row in rows for clip in row)
    frames = [sheet.draw([[clip[number % len(clip)] for clip in row] for row in rows]) for number in range(num_frames)]
    write_gif(file.with_name(file.name + ".gif"), frames, fps)
    stacked = np.stack([np.asarray(frame) for frame in frames])
    write_video(file.with_name(file.name + ".mp4"), stacked, fps, options={"crf": "18"})


def write_strips(file: Path, shown: dict[str, np.ndarray], titles: Sequence[str], max_frames: int = 8) -> None:
    """Writes the clips of `draw_videos` as a PNG: one row per clip, with up to max_frames frames spread over it."""
    num_frames = max(clips.shape[1] for clips in shown.values())
    numbers = np.unique(np.linspace(0, num_frames - 1, min(max_frames, num_frames)).round().astype(int))
    rows, row_titles = [], []
    for video, title in enumerate(titles):
        for place, (name, clips) in enumerate(shown.items()):
            rows.append([clips[video, number % clips.shape[1]] for number in numbers])
            row_titles.append(name if place else f"{title}\n\n{name}")
    sheet = Sheet(row_titles, [f"frame {number + 1}" for number in numbers], group=len(shown))
    sheet.draw(rows).save(file)


def write_gif(file: Path, frames: Sequence[Image.Image], fps: float) -> None:
    """Writes pictures of one size as a GIF that loops forever."""
    # One palette for all frames: otherwise still areas would flicker.
    # Refined by k-means: a plain median cut loses the colors of small objects.
    palette = _sampled(frames).quantize(256, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(file, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, optimize=False)


def _sampled(frames: Sequence[Image.Image], max_frames: int = 4, step: int = 3) -> Image.Image:
    """Returns every `step`-th pixel of some frames, stacked vertically, to choose the palette from."""
    chosen = frames[:: -(-len(frames) // max_frames)]
    return Image.fromarray(np.concatenate([np.asarray(frame)[::step, ::step] for frame in chosen]))
