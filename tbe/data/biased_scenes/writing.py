"""Writes the folder of the embedded data set: videos, lists and tables, each of them atomically."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from tbe.data.biased_scenes.clip_parameters import Clip, write_clips
from tbe.data.sources.records import write_list
from tbe.runs import replacing


def split_file(folder: Path, split: str, label: str = "action") -> Path:
    """Returns the list of a split with this label; that of the actions is written last and marks a complete split."""
    return folder / (f"{split}.txt" if label == "action" else f"{split}_{label}s.txt")


def write_split(
    folder: Path, split: str, clips: list[Clip], num_frames: int, write_clip: Callable[[Path, Clip], None]
) -> None:
    """Writes the missing ones of `<split>/00000.mp4`, ..., then `<split>.csv` and the lists.

    `write_clip` writes one video atomically.
    """
    paths = [f"{split}/{index:05d}.mp4" for index in range(len(clips))]
    # Threads: rendering and encoding mostly release the GIL, and processes would first have to import torch.
    executor = ThreadPoolExecutor(os.cpu_count())
    try:
        written = executor.map(partial(_write_missing, write_clip), [folder / path for path in paths], clips)
        for _ in track(written, f"Writing {split}", total=len(paths)):
            pass
    finally:
        executor.shutdown(cancel_futures=True)
    for part in (folder / split).glob("*.part"):
        part.unlink(missing_ok=True)
    write_whole(folder / f"{split}.csv", partial(write_clips, paths=paths, clips=clips))
    for label in ("scene", "action"):
        rows = [(path, getattr(clip, label), num_frames) for path, clip in zip(paths, clips, strict=True)]
        write_whole(split_file(folder, split, label), partial(write_list, rows=rows))


def write_whole(file: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write` on a file of a unique name, then moves it in place: several processes may do so at once."""
    with replacing(file) as part:
        write(part)


def _write_missing(write_clip: Callable[[Path, Clip], None], path: Path, clip: Clip) -> None:
    if path.exists():
        return
    try:
        write_clip(path, clip)
    except FileNotFoundError:
        # Another process found all videos in place and removed our partial file: then this one exists, too.
        if not path.exists():
            raise
