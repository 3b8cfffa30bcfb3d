"""What a reader of videos is, whatever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from tbe.data.mistaken_files import mistaken
from tbe.data.storage.stored_video import Video


class VideoReader(Protocol):
    """An open video."""

    def __len__(self) -> int:
        """How many frames it has."""

    def frames(self, indices: Sequence[int]) -> Tensor:
        """These frames, in this order: uint8 (n, C, H, W)."""


class OpenVideo(Protocol):
    """Opens videos, in the workers of a loader."""

    def __call__(self, path: Video) -> VideoReader:
        """Opens one video, by its path or with its content; a DecodeError that names it when it can't."""

    def worker_context(self, path: str) -> str | None:
        """How workers must be started to read videos like this one; None leaves it to the platform."""


class DecodeError(RuntimeError):
    """A video that can't be read. The message names the file, `readers` those that tried, where there were several."""

    readers: str = ""


def explained(path: Video, action: str, error: Exception) -> str:
    """The message of a DecodeError: the file, what was tried, the first line of why not, and what it may be instead."""
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    other = mistaken(path)
    return f"could not {action} {path}: {reason}" + (f". It is {other}" if other else "")
