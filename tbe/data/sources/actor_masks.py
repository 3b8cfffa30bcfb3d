"""Reads actor masks of videos from mask pictures or boxes in separate files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tbe.data.sources.actor_boxes import interpolate_boxes, read_boxes
from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.data.storage.stored_video import Video, to_open
from tbe.errors import MissingFile, UserError

PICTURES = (".jpg", ".jpeg", ".png")
BOXES = (".csv", ".json")


@dataclass(frozen=True)
class ActorMasks:
    """Finds and reads masks or boxes below `folder`, named like the videos: for `run/a.avi` one of

    run/a/*.png: one picture per frame, numbered from 0 or 1 without gaps, all of one size, whatever the video's. The
    actor is where the gray level, 0 to 255, is above `above`;
    run/a.csv, run/a.json: boxes, as `read_boxes` reads them, in pixels of the video;
    run/a.mp4, or another video suffix: a video of as many frames, gray levels as in the pictures.

    Videos named by full paths, or outside the root, are looked up by their folder and name: also run/a.
    """

    folder: str
    above: int = 0

    def __post_init__(self):
        if not 0 <= self.above < 255:
            raise UserError(f"data.mask_above: expected 0 to 254, got {self.above}")

    def place(self, path: str) -> Path:
        """Returns the folder of a video's masks, or the file of its boxes without suffix; path: as in the list."""
        pure = PurePosixPath(path).with_suffix("")
        is_outside = pure.is_absolute() or ".." in pure.parts
        place = str(Path(self.folder, *(pure.parts[-2:] if is_outside else pure.parts)))
        candidates = (path_on_disk(place + suffix).removesuffix(suffix) for suffix in ("", *BOXES, *VIDEO_SUFFIXES))
        return Path(next((candidate for candidate in candidates if candidate != place), place))

    def has(self, path: str) -> bool:
        """Checks whether a video has masks or boxes."""
        return self.place(path).is_dir() or self.boxes(path) is not None or self.video(path) is not None

    def boxes(self, path: str) -> Path | None:
        """Returns the file of a video's boxes, None if there is none."""
        return self._file(path, BOXES)

    def video(self, path: str) -> Path | None:
        """Returns the video of a video's masks, None if there is none."""
        return self._file(path, VIDEO_SUFFIXES)

    def is_boxes(self, path: str) -> bool:
        """Checks whether a video has boxes in place of masks."""
        return not self.place(path).is_dir() and self.boxes(path) is not None

    def version(self, path: str) -> list[tuple[int, int]]:
        """Returns sizes and times that change with a video's masks: of its file, or of two pictures; [] for none."""
        place = self.place(path)
        if place.is_dir():
            files = sorted(place.glob("*.png"))
            seen = [place, *files[:1], *files[-1:]]
        else:
            seen = [file for file in (self.boxes(path) or self.video(path),) if file]
        return [(state.st_size, state.st_mtime_ns) for state in map(os.stat, seen)]

    def __call__(self, path: str, video: Video, frames: list[int]) -> np.ndarray | None:
        """Returns the actor's masks in these frames of a video, bool (n, H, W); None without masks or boxes.

        path: as in the list; video: the full path or, of a video with boxes, what to open. Raises UserError unless
        there is one mask per frame.
        """
        place = self.place(path)
        if place.is_dir():
            return self._masks(place, frames)
        if self.boxes(path):
            return box_masks(place, video, frames)
        masks = self.video(path)
        return self._masks_of_video(masks, video, frames) if masks else None

    def _file(self, path: str, suffixes: Sequence[str]) -> Path | None:
        place = self.place(path)
        files = (place.with_name(f"{place.name}{suffix}") for suffix in suffixes)
        return next((file for file in files if file.is_file()), None)

    def _masks_of_video(self, file: Path, video: Video, frames: list[int]) -> np.ndarray:
        from tbe.data.readers.pyav_reader import PyAvReader  # takes seconds, which only processes that read masks need

        if isinstance(video, str) and os.path.realpath(file) == os.path.realpath(video):
            raise UserError(f"data.masks: expected a folder of masks, got {file}, which is the video itself")
        masks = PyAvReader(1)(str(file))
        if max(frames) >= len(masks):
            raise UserError(f"{file}: expected a mask of each frame, got {len(masks)} and a frame {max(frames)}")
        return masks.frames(frames)[:, 1].numpy() > self.above

    def _masks(self, folder: Path, frames: list[int]) -> np.ndarray:
        numbers, files = zip(*numbered_masks(folder), strict=True)
        if numbers[0] not in (0, 1) or list(numbers) != list(range(numbers[0], numbers[0] + len(numbers))):
            got = f"{len(numbers)} from {numbers[0]} to {numbers[-1]}"
            raise UserError(f"{folder}: expected a mask of each frame, numbered from 0 or 1 without gaps, got {got}")
        if max(frames) >= len(files):
            raise UserError(f"{folder}: expected a mask of each frame, got {len(files)} and a frame {max(frames)}")
        masks = {frame: read_mask(files[frame], above=self.above) for frame in set(frames)}  # frames may repeat
        sizes = {mask.shape for mask in masks.values()}
        if len(sizes) > 1:
            raise UserError(f"{folder}: expected masks of one size, got {' and '.join(map(str, sorted(sizes)))}")
        return np.stack([masks[frame] for frame in frames])


def mask_files(folder: Path) -> list[Path]:
    """Returns the png files of a folder, ordered by the last number in their names."""
    return [file for _, file in numbered_masks(folder)]


def numbered_masks(folder: Path) -> list[tuple[int, Path]]:
    """Returns sorted pairs (last number in the name or -1, png file) of a folder; raises MissingFile if it has none."""
    numbered = [(re.findall(r"\d+", file.stem), file) for file in folder.glob("*.png")]
    if not numbered:
        raise MissingFile(f"{folder}: expected masks, <number>.png, found none")
    return sorted((int(numbers[-1]) if numbers else -1, file) for numbers, file in numbered)


def read_mask(file: Path, size: tuple[int, int] | None = None, above: int = 0) -> np.ndarray:
    """Reads where a mask exceeds a level, bool (H, W); raises DecodeError if unreadable, UserError for another size."""
    from torchvision.io import ImageReadMode  # slow to import, and only needed to read masks

    from tbe.data.readers.frame_folder import decoded_picture

    mask = decoded_picture(str(file), ImageReadMode.GRAY)[0].numpy()
    if size is not None and mask.shape != size:
        raise UserError(f"{file}: expected {size[0]} x {size[1]} pixels, as the video has, got {mask.shape}")
    return mask > above * (257 if mask.dtype == np.uint16 else 1)  # of 16 bits, where 65535 is what 255 is of 8


def box_masks(place: Path, video: Video, frames: list[int]) -> np.ndarray:
    """Returns the insides of the boxes of <place>.csv or .json in these frames of a video, bool (n, H, W)."""
    boxes = read_boxes(place.parent, place.name)
    height, width = picture_size(video)
    left, top, right, bottom = interpolate_boxes(boxes, np.array(frames))[:, :, None].transpose(1, 0, 2)
    if (left >= width).any() or (top >= height).any():
        corner = f"a corner at {left.max():g}, {top.max():g}"
        raise UserError(f"{place}: expected boxes inside the {width} x {height} pixels of {video}, got {corner}")
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5  # pixel centers
    inside_rows, inside_columns = (top <= rows) & (rows < bottom), (left <= columns) & (columns < right)
    return inside_rows[:, :, None] & inside_columns[:, None, :]


def picture_size(video: Video) -> tuple[int, int]:
    """Returns the displayed height and width of a video, or those of the first picture of a folder."""
    if isinstance(video, str) and Path(video).is_dir():
        from torchvision.io import ImageReadMode

        from tbe.data.readers.frame_folder import decoded_picture

        first = min(file for file in Path(video).iterdir() if file.suffix.lower() in PICTURES)
        height, width = decoded_picture(str(first), ImageReadMode.UNCHANGED).shape[-2:]
        return height, width
    from tbe.data.opened_file import open_file
    from tbe.data.orientation import Orientation

    with open_file(to_open(video)) as container:
        frame = next(container.decode(container.streams.best("video")))
    return Orientation.of(frame).size(frame.height, frame.width)
