"""Recognizes files that are not what their name says: an HTML page or a git-lfs pointer in place of a download."""

from __future__ import annotations

import os

from tbe.data.storage.stored_video import Video, opened

LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
NUM_BYTES = 512  # read from the start of a file


def mistaken(path: Video | os.PathLike) -> str | None:
    """Returns what a file holds instead of its content, and what to do; None if it is neither kind, or unreadable."""
    try:
        with opened(path) as file:
            start = file.read(NUM_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return None
    if start.startswith(LFS):
        return "a git-lfs pointer in place of the file: fetch it with 'git lfs pull' in the clone"
    if start.lower().startswith(PAGES):
        return (
            "an HTML page in place of the file, such as a login or confirmation page: open the link in a "
            "browser, and download the file again"
        )
    return None
