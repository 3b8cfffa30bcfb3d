"""Places behind actors: pictures, and the median or the frames of videos."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from tbe.data.sources.actor_masks import PICTURES
from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.decoding import opened_video, spread_frames
from tbe.prepare.datasets.composite.pictures import Covering

BEHIND = ("still", "moving")
MAX_OF_MEDIAN = 50  # frames, evenly spread over a video
MAX_MOVING = 300  # first frames of a place that are kept
BLOCK = 2**20  # bytes that are read at once


def place_files(named: Sequence[str]) -> list[Path]:
    """Returns the pictures and videos of files, folders and patterns, sorted by name, which is the place's name."""
    suffixes = (*PICTURES, *VIDEO_SUFFIXES)
    files: set[Path] = set()
    for name in named:
        folder = Path(name)
        found = folder.iterdir() if folder.is_dir() else map(Path, [name] if folder.exists() else glob.glob(name))
        new = {file for file in found if file.suffix.lower() in suffixes and not file.name.startswith(".")}
        if not new:
            raise MissingFile(f"{name}: expected pictures or videos of places ({', '.join(suffixes)}), found none")
        files |= new
    by_name: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (file.stem, str(file))):
        if file.stem in by_name and by_name[file.stem].resolve() != file.resolve():
            raise UserError(f"expected places of different names, got {by_name[file.stem]} and {file}")
        by_name.setdefault(file.stem, file)
    return list(by_name.values())


def split_places(named: Sequence[str], novel: Sequence[str], seed: int) -> tuple[list[Path], list[Path]]:
    """Returns the places that actions own, and the held-out ones: named, or a number of places drawn by the seed."""
    files = place_files(named)
    if len(novel) == 1 and novel[0].isdigit():
        count = int(novel[0])
        if count > len(files) - 2:
            raise UserError(f"--novel: expected to leave at least two of the {len(files)} places, got {count}")
        held = set(np.random.default_rng(seed).permutation(len(files))[:count].tolist())
        return (
            [file for number, file in enumerate(files) if number not in held],
            [file for number, file in enumerate(files) if number in held],
        )
    held_out = place_files(novel)
    resolved = {file.resolve() for file in held_out}
    owned = [file for file in files if file.resolve() not in resolved]
    twice = sorted({file.stem for file in owned} & {file.stem for file in held_out})
    if twice:
        raise UserError(f"--novel: expected other names than those of --backgrounds, got {twice[0]!r} in both")
    return owned, held_out


def digest_of(files: Sequence[Path]) -> str:
    """Returns the SHA-256 of the contents of files in this order, so that another picture of the same name is noticed.

    Raises MissingFile for one that can't be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            content = hashlib.sha256()
            with open(file, "rb") as opened:
                while block := opened.read(BLOCK):
                    content.update(block)
        except OSError as error:
            raise MissingFile(
                f"{file}: expected a picture or video of a place that can be read, got {error}"
            ) from error
        digest.update(content.digest())
    return digest.hexdigest()


@lru_cache(maxsize=64)  # a process makes many clips in front of few places
def still_place(file: Path, size: tuple[int, int]) -> np.ndarray:
    """Reads a picture, or the median of a video's frames, uint8 (H, W, 3); raises UserError for an empty file."""
    cover = Covering(size)
    with opened_video(file) as source:
        frames = spread_frames(source.frames, MAX_OF_MEDIAN, lambda frame: cover(frame, "rgb24"))
    if not frames:
        raise UserError(f"{file}: expected a picture, got none")
    return np.median(np.stack(frames), axis=0).round().astype(np.uint8)


@lru_cache(maxsize=4)
def moving_place(file: Path, size: tuple[int, int], num_frames: int) -> np.ndarray:
    """Reads the first frames of a video, at most num_frames, uint8 (T, H, W, 3)."""
    cover, frames = Covering(size), []
    with opened_video(file) as source:
        for frame in source.frames:
            frames.append(cover(frame, "rgb24"))
            if len(frames) == num_frames:
                break
    if not frames:
        raise UserError(f"{file}: expected pictures, got none")
    return np.stack(frames)


def behind(file: Path, size: tuple[int, int], number: int, moves: bool) -> np.ndarray:
    """Returns the place behind frame `number` of a clip, uint8 (H, W, 3); a moving one is reversed at its ends."""
    if not moves:
        return still_place(file, size)
    frames = moving_place(file, size, MAX_MOVING)
    turn = max(1, 2 * (len(frames) - 1))
    return frames[min(number % turn, turn - number % turn)]
