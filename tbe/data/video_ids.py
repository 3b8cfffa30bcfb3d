"""Identifies rows of list files that are the same video, however its path is written."""

from __future__ import annotations

import os
from functools import lru_cache
from unicodedata import normalize

import numpy as np

from tbe.data.sources.records import Records


def video_ids(records: Records) -> np.ndarray:
    """Returns a number for each video, int64 (n,): equal for equal files, across all lists that this process reads.

    `a.avi`, `./a.avi`, `b/../a.avi`, `a//../a.avi`, the full path and either Unicode form of a name are one video, and
    so is a path through a linked folder. Links to single files are not followed: that would take a disk access per
    file instead of per folder.
    """
    root = os.fsencode(os.path.abspath(records.root))
    resolved = lru_cache(maxsize=None)(os.path.realpath)  # a folder has many videos
    paths = (_canonical(os.path.join(root, path), resolved) for path in records.paths)
    return np.fromiter(map(hash, paths), np.int64, len(records))


def _canonical(path: bytes, resolved) -> bytes:
    """Returns the canonical path of a video: its folder resolved, its name in Unicode form NFC."""
    folder, name = os.path.split(path.rstrip(b"/"))
    if name in (b".", b".."):
        return resolved(path)
    canonical = os.path.join(resolved(folder), name)
    return canonical if canonical.isascii() else os.fsencode(normalize("NFC", os.fsdecode(canonical)))
