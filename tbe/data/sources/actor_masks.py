"""Where the actors of videos are: masks or boxes that lie in files of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tbe.data.sources.actor_boxes import box_at, read_boxes
from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.data.sources.unicode_forms import found_path
from tbe.errors import MissingFile, UserError

PICTURES = (".jpg", ".jpeg", ".png")
BOXES = (".csv", ".json")


@dataclass(frozen=True)
class ActorMasks:
    """Masks or boxes below `folder`, named like the videos: for `run/a.avi` one of

    run/a/*.png: one picture a frame, numbered from 0 or 1 without gaps, all of one size, whatever the video's. The
    actor is where its level, 0 to 255, is above `above`;
    run/a.csv, run/a.json: boxes, as `read_boxes` takes them, in pixels of the video;
    run/a.mp4, or another suffix of videos: a video of as many frames, grey levels in place of pictures.

    Videos that lie elsewhere than the others, named by full paths, are known by their folder and name: run/a too.
    """

    folder: str
    above: int = 0

    def __post_init__(self):
        if not 0 <= self.above < 255:
            raise UserError(f"data.mask_above: expected 0 to 254, got {self.above}")

    def place(self, path: str) -> Path:
        """Where the masks of a video are, or its boxes but for their suffix; path: as a list has it."""
        pure = PurePosixPath(path).with_suffix("")
        elsewhere = pure.is_absolute() or ".." in pure.parts
        place = str(Path(self.folder, *(pure.parts[-2:] if elsewhere else pure.parts)))
        there = (found_path(place + suffix).removesuffix(suffix) for suffix in ("", *BOXES, *VIDEO_SUFFIXES))
        return Path(next((found for found in there if found != place), place))

    def has(self, path: str) -> bool:
        """Whether a video has masks or boxes."""
        return self.place(path).is_dir() or self.boxes(path) is not None or self.video(path) is not None

    def boxes(self, path: str) -> Path | None:
        """The file of the boxes of a video."""
        return self._file(path, BOXES)

    def video(self, path: str) -> Path | None:
        """The video of the masks of a video."""
        return self._file(path, VIDEO_SUFFIXES)

    def is_boxes(self, path: str) -> bool:
        """Whether boxes are all that is known of a video."""
        return self.has(path) and not self.place(path).is_dir()

    def __call__(self, path: str, video: str, frames: list[int]) -> np.ndarray | None:
        """Where the actor is in these frames of a video: bool (n, H, W); None where it has neither masks nor boxes.

        path: as a list has it; video: the whole of it. ValueError for masks that are not one a frame.
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

    def _masks_of_video(self, file: Path, video: str, frames: list[int]) -> np.ndarray:
        from tbe.data.readers.pyav_reader import PyAvReader  # takes seconds, which only processes that read masks need

        if os.path.realpath(file) == os.path.realpath(video):
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
        masks = {frame: read_mask(files[frame], above=self.above) for frame in set(frames)}  # some occur twice
        sizes = {mask.shape for mask in masks.values()}
        if len(sizes) > 1:
            raise UserError(f"{folder}: expected masks of one size, got {' and '.join(map(str, sorted(sizes)))}")
        return np.stack([masks[frame] for frame in frames])


def mask_files(folder: Path) -> list[Path]:
    """The png files of a folder, by the last number in their names."""
    return [file for _, file in numbered_masks(folder)]


def numbered_masks(folder: Path) -> list[tuple[int, Path]]:
    """The png files of a folder with the last number in their names, -1 for none, by it; FileNotFoundError for none."""
    numbered = [(re.findall(r"\d+", file.stem), file) for file in folder.glob("*.png")]
    if not numbered:
        raise MissingFile(f"{folder}: expected masks, <number>.png, found none")
    return sorted((int(numbers[-1]) if numbers else -1, file) for numbers, file in numbered)


def read_mask(file: Path, size: tuple[int, int] | None = None, above: int = 0) -> np.ndarray:
    """Where a mask is above a level, bool (H, W); DecodeError for what is no picture, ValueError for another size."""
    from torchvision.io import ImageReadMode  # takes seconds, which only processes that read masks need

    from tbe.data.readers.frame_folder import decoded_picture

    mask = decoded_picture(str(file), ImageReadMode.GRAY)[0].numpy()
    if size is not None and mask.shape != size:
        raise UserError(f"{file}: expected {size[0]} x {size[1]} pixels, as the video has, got {mask.shape}")
    return mask > above


def box_masks(place: Path, video: str, frames: list[int]) -> np.ndarray:
    """The insides of the boxes of <place>.csv or .json in these frames of a video: bool (n, H, W)."""
    boxes = read_boxes(place.parent, place.name)
    height, width = picture_size(video)
    left, top, right, bottom = box_at(boxes, np.array(frames))[:, :, None].transpose(1, 0, 2)
    if (left >= width).any() or (top >= height).any():
        corner = f"a corner at {left.max():g}, {top.max():g}"
        raise UserError(f"{place}: expected boxes inside the {width} x {height} pixels of {video}, got {corner}")
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5  # the middle of each pixel
    inside_rows, inside_columns = (top <= rows) & (rows < bottom), (left <= columns) & (columns < right)
    return inside_rows[:, :, None] & inside_columns[:, None, :]


def picture_size(video: str) -> tuple[int, int]:
    """Height and width of the pictures of a video file as they are shown, or of the first picture of a folder."""
    if Path(video).is_dir():
        from torchvision.io import ImageReadMode

        from tbe.data.readers.frame_folder import decoded_picture

        first = min(file for file in Path(video).iterdir() if file.suffix.lower() in PICTURES)
        height, width = decoded_picture(str(first), ImageReadMode.UNCHANGED).shape[-2:]
        return height, width
    import av

    from tbe.data.orientation import Orientation

    with av.open(video, metadata_errors="ignore") as container:
        frame = next(container.decode(container.streams.best("video")))
    return Orientation.of(frame).size(frame.height, frame.width)
