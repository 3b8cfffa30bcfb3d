"""Finds the videos of a folder, and their classes from its sub-folders."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tbe.data.sources.records import leads_out
from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.errors import MissingFile, UserError
from tbe.prepare.common.lists import Row

SUFFIXES = VIDEO_SUFFIXES


def labeled_videos(root: Path, suffixes: list[str], may_leave: bool = False) -> tuple[list[Row], list[str]]:
    """Returns (path, label) of each video below root, and the class names; raises MissingFile if there is no video.

    Prints what is skipped: files with other suffixes, and videos that links lead out of root unless they `may_leave`.
    """
    if not root.is_dir():
        raise MissingFile(f"{root}: expected the folder of the videos, got no such folder")
    found = videos_below(root, suffixes, may_leave)
    print_skipped(root, found)
    if not found.paths:
        raise MissingFile(f"{root}: expected files with {', '.join(suffixes)}, found none")
    classes = class_names(root, found.paths)
    labels = {name: label for label, name in enumerate(classes)}
    return [(path, labels[path.partition("/")[0]] if "/" in path else 0) for path in found.paths], classes


class Found(NamedTuple):
    """Sorted paths of videos relative to a root, counts of files by other suffix, and videos linked outside."""

    paths: list[str]
    others: Counter[str]
    outside: list[str]


def videos_below(root: Path, suffixes: list[str], may_leave: bool = False) -> Found:
    """Finds the videos below a root, following links; those outside of it are separate unless they `may_leave`."""
    wanted = tuple(suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes)
    found = Found([], Counter(), [])
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above itself would never end
            folders.clear()
            continue
        seen.add(real)
        folder_leaves = not may_leave and leads_out(folder, root)
        relative = Path(folder).relative_to(root)
        for name in files:
            if name.startswith("."):
                continue
            if not name.lower().endswith(wanted):
                found.others[os.path.splitext(name)[1].lower()] += 1
                continue
            file = os.path.join(folder, name)
            leaves = folder_leaves or (not may_leave and os.path.islink(file) and leads_out(file, root))
            (found.outside if leaves else found.paths).append((relative / name).as_posix())
    found.paths.sort()
    return found


def print_skipped(root: Path, found: Found) -> None:
    """Prints how many files are not videos by their suffix, and how many videos links lead out of the root."""
    if found.others:
        counts = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in found.others.most_common())
        print(f"{root}: skipped {found.others.total()} files without the suffix of a video: {counts}")
    if found.outside:
        print(
            f"{root}: left out {len(found.outside)} videos that links lead outside, such as {min(found.outside)!r}: "
            "--allow-outside-root includes them, and training then needs data.allow_outside_root=true"
        )


def class_names(root: Path, paths: list[str]) -> list[str]:
    """Returns the sorted sub-folders with videos, or root's name if all are in root; raises UserError if mixed."""
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
