"""A video to open: a file or folder by its path, or the content of one that lies elsewhere."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import BinaryIO

from tbe.errors import UserError


@dataclass(frozen=True)
class StoredVideo:
    """A video that is not a file of its own: its name, as the path of a file would be, and its content."""

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Returns its content as a file, without copying it."""
        file = io.BytesIO(self.content)
        file.name = self.name  # type: ignore[attr-defined]  # as of a file: its suffix helps to tell the container
        return file


Video = str | StoredVideo


def to_open(video: Video) -> str | BinaryIO:
    """Returns what libraries open that take a path or a file."""
    return video if isinstance(video, str) else video.open()


def opened(video: Video | os.PathLike) -> BinaryIO:
    """Opens the content of a video for reading; raises OSError for a file that can't be read."""
    return video.open() if isinstance(video, StoredVideo) else open(video, "rb")


def size_of(video: Video | os.PathLike) -> int:
    """Returns the number of bytes of a video; raises OSError for a file that is not there."""
    return len(video.content) if isinstance(video, StoredVideo) else os.path.getsize(video)


def path_of(video: Video, reader: str) -> str:
    """Returns the path of a video, for a reader that opens nothing else; raises UserError for what has none."""
    if isinstance(video, str):
        return video
    raise UserError(
        f"reader={reader}: expected files and folders on disk, which alone it reads, got a video of shards or of a "
        f"bucket, {video}. Set reader=auto, or data.root to a folder of files"
    )
