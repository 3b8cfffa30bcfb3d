"""Which rows of lists are the same video, however its path is written."""

from __future__ import annotations

import os
from functools import lru_cache
from unicodedata import normalize

import numpy as np

from tbe.data.sources.records import Records


def video_ids(records: Records) -> np.ndarray:
    """Returns a number for each video, int64 (n,): equal for equal files, in all lists that this process reads.

    `a.avi`, `./a.avi`, `b/../a.avi`, `a//../a.avi`, the whole path and either Unicode form of a name are one video, and
    so is a path through a folder that is a link. Links to single files are not followed: that would ask the disk for
    each of them, and not only for their folders.
    """
    root = os.fsencode(os.path.abspath(records.root))
    resolved = lru_cache(maxsize=None)(os.path.realpath)  # a folder has many videos
    whole = (_whole(os.path.join(root, path), resolved) for path in records.paths)
    return np.fromiter(map(hash, whole), np.int64, len(records))


def _whole(path: bytes, resolved) -> bytes:
    """The path of a video, whose folder is named in one way only."""
    folder, name = os.path.split(path.rstrip(b"/"))
    if name in (b".", b".."):
        return resolved(path)
    whole = os.path.join(resolved(folder), name)
    return whole if whole.isascii() else os.fsencode(normalize("NFC", os.fsdecode(whole)))
