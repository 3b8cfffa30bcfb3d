"""Video files and folders of frames side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tbe.data.readers.base import OpenVideo, VideoReader
from tbe.data.readers.decode_resize import reducing
from tbe.data.storage.stored_video import Video


@dataclass(frozen=True)
class MixedReader:
    """Opens folders with one reader and files with another, as where a data set of videos has a split of frames."""

    files: OpenVideo
    folders: OpenVideo

    def __call__(self, path: Video) -> VideoReader:
        return self._of(path)(path)

    def reducing(self, short_side: int) -> MixedReader:
        return replace(self, files=reducing(self.files, short_side), folders=reducing(self.folders, short_side))

    def worker_context(self, path: str) -> str | None:
        # A list of either kind has the workers of its reader.
        return self._of(path).worker_context(path)

    def _of(self, path: Video) -> OpenVideo:
        return self.folders if isinstance(path, str) and os.path.isdir(path) else self.files
