"""What often stands in the place of a large file: a page of a web server, or a pointer of git-lfs."""

from __future__ import annotations

import os

LFS = b"version https://git-lfs.github.com/spec/"
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
LOOKED_AT = 512  # bytes


def mistaken(path: str | os.PathLike) -> str | None:
    """What a file is instead, and what to do; None for one that is neither, or can't be read."""
    try:
        with open(path, "rb") as file:
            start = file.read(LOOKED_AT).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return None
    if start.startswith(LFS):
        return "a pointer of git-lfs in place of the file: fetch it with 'git lfs pull' where it was cloned"
    if start.lower().startswith(PAGES):
        return (
            "a page of a web server in place of the file, as where one has to log in or to confirm: open it in a "
            "browser, and download the file again"
        )
    return None
