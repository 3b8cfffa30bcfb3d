"""The videos of a folder, and the classes that its sub-folders are."""

from __future__ import annotations

import os
from pathlib import Path

from tbe.errors import MissingFile, UserError
from tbe.prepare.base.lists import Row

SUFFIXES = [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"]


def labelled_videos(root: Path, suffixes: list[str]) -> tuple[list[Row], list[str]]:
    """Path and label of each video below root, and the names of the classes; FileNotFoundError when there is none."""
    if not root.is_dir():
        raise MissingFile(f"{root}: expected the folder of the videos, got no such folder")
    paths = videos_below(root, suffixes)
    if not paths:
        raise MissingFile(f"{root}: expected files with {', '.join(suffixes)}, found none")
    classes = class_names(root, paths)
    labels = {name: label for label, name in enumerate(classes)}
    return [(path, labels[path.partition("/")[0]] if "/" in path else 0) for path in paths], classes


def videos_below(root: Path, suffixes: list[str]) -> list[str]:
    """The sorted paths of the videos, relative to root, through links too."""
    wanted = tuple(suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes)
    paths: list[str] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above itself would never end
            folders.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root)
        names = [name for name in files if name.lower().endswith(wanted) and not name.startswith(".")]
        paths.extend((relative / name).as_posix() for name in names)
    return sorted(paths)


def class_names(root: Path, paths: list[str]) -> list[str]:
    """The sorted sub-folders that hold videos; one class named like root where all videos lie in root itself."""
    loose = [path for path in paths if "/" not in path]
    if len(loose) == len(paths):
        print(f"{root}: no sub-folders with videos, so no classes: every label is 0")
        return [root.resolve().name]
    if loose:
        raise UserError(
            f"{root}: expected all videos in class sub-folders, or none, got {len(loose)} of {len(paths)} beside them, "
            f"such as {loose[0]!r}"
        )
    return sorted({path.partition("/")[0] for path in paths})
