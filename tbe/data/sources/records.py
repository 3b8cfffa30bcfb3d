"""Records of videos and their labels, and the list files that they are read from."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from tbe.data.readers.base import DecodeError
from tbe.data.sources.list_hints import frames_before_labels, frames_before_labels_of_folders, hint_of_labels
from tbe.data.sources.list_rows import FORMATS, Rows, rows_of
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import to_utf8
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import UserError
from tbe.runs import replacing

UNLABELED = -1
HOW_TO_ALLOW = "If you trust the list, allow it with data.allow_outside_root=true, or verify's --allow-outside-root"
# Matches absolute paths, also of Windows, and '..', in paths that stand one per line.
OUTSIDE = re.compile(rb"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)", re.MULTILINE)
MAX_LOOKUPS = 100  # paths that are looked for, one of which decides for all

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """Videos as columns: 250,000 of them take some 20 MB, shared by all workers of a loader.

    paths: relative to `root`, as bytes; labels: int64 (n,), `UNLABELED` if unknown;
    num_frames: int64 (n,), 0 if unknown. is_fenced: whether links out of `root` are refused.
    """

    root: str
    paths: TextColumn
    labels: np.ndarray
    num_frames: np.ndarray
    is_fenced: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """Returns the full path of one video."""
        return os.path.join(self.root, os.fsdecode(self.paths[index]))

    def path_to_open(self, index: int) -> str:
        """Returns the full path of one video, in the Unicode form that it has on disk.

        Raises DecodeError if links lead it out of a fenced root.
        """
        path = path_on_disk(self.path(index))
        if self.is_fenced:
            check_links(path, self.root)
        return path

    def select(self, indices: np.ndarray) -> Records:
        """Returns the records at these positions, in this order."""
        return replace(
            self, paths=self.paths[indices], labels=self.labels[indices], num_frames=self.num_frames[indices]
        )


def make_records(
    root: str | os.PathLike,
    paths: Sequence[str | bytes],
    labels: Sequence[int] | np.ndarray,
    num_frames: Sequence[int] | np.ndarray,
) -> Records:
    """Makes records from parallel lists."""
    encoded = [path if isinstance(path, bytes) else os.fsencode(path) for path in paths]
    return Records(os.fspath(root), TextColumn.of(encoded), np.array(labels, np.int64), np.array(num_frames, np.int64))


def read_list(file: str | os.PathLike, root: str | os.PathLike) -> Records:
    """Reads `path label` or `path label num_frames`, one video per line; the first line decides which.

    Paths may contain spaces and bytes that are not UTF-8; '\\' separates folders if no file's name has it. Empty lines
    and lines that start with '#' are skipped. Raises UserError, naming the file, the line if there is one, and what the
    list looks like, for an invalid line, columns clearly in another order, a video with two labels, or an empty list.
    """
    rows = rows_of(to_utf8(Path(file).read_bytes(), file), root, file)
    if frames_before_labels(rows.labels, rows.num_frames):
        raise UserError(
            f"{file}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': the third column has "
            f"zeros, as for {os.fsdecode(rows.paths[int(rows.num_frames.argmin())])!r}, the second none, and no "
            "video has 0 frames"
        )
    rows = rows._replace(paths=_with_slashes(rows.paths, root, file))
    _check_one_label_each(rows, file)
    return Records(os.fspath(root), rows.paths, rows.labels, rows.num_frames)


def write_list(file: str | os.PathLike, rows: list[tuple]) -> None:
    """Writes one row per line, fields joined by spaces; writes atomically.

    Paths are as Python decodes file names: bytes that are not UTF-8 are written as they were.
    """
    content = "".join(" ".join(str(field) for field in row) + "\n" for row in rows)
    with replacing(Path(file)) as part:
        part.write_bytes(content.encode("utf-8", errors="surrogateescape"))


def check_labels(records: Records, num_classes: int, where: str) -> None:
    """Raises UserError for labels outside [0, num_classes), and for labels that look like frame counts."""
    labels, num_frames = records.labels, records.num_frames
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        first = int(wrong[0])
        raise UserError(
            f"{where}: expected labels from 0 to {num_classes - 1}, got {labels[first]} for "
            f"{os.fsdecode(records.paths[first])!r} ({wrong.size} such videos)."
            f"{hint_of_labels(labels, num_frames, records.paths, num_classes)}"
        )
    if 0 < num_frames.max() < num_classes:  # only then could the frame counts be labels
        names: dict[bytes, int] = {}
        numbered = (names.setdefault(os.path.dirname(path), len(names)) for path in records.paths)
        folders = np.fromiter(numbered, np.int64, len(records))
        if frames_before_labels_of_folders(folders, labels, num_frames):
            raise UserError(
                f"{where}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': each of the "
                f"{len(names)} folders has one number of its own in the third column, and several in "
                "the second"
            )


def fence(records: Records, where: str) -> Records:
    """Returns the same records, fenced to their root; raises UserError for absolute paths and '..' in them."""
    num_before = 0
    for paths in records.paths.chunks():
        listed = b"\n".join([b"", *paths])
        may_leave = any(part in listed for part in (b"..", b":", b"\n/", b"\n\\"))  # much faster than the pattern
        if may_leave and (found := OUTSIDE.search(listed[1:])):
            number = found.string.count(b"\n", 0, found.start())
            raise UserError(
                f"{where}: expected paths below {records.root or 'the root'}, got {os.fsdecode(paths[number])!r} as "
                f"video {num_before + number + 1}. {HOW_TO_ALLOW}"
            )
        num_before += len(paths)
    return replace(records, is_fenced=True)


def check_links(path: str, root: str | os.PathLike) -> None:
    """Raises DecodeError if links lead the path of a video out of its root."""
    if leads_out(path, root):
        real, root = os.path.realpath(path), os.path.realpath(root)
        raise DecodeError(f"could not open {path}: it is a link to {real}, outside of {root}. {HOW_TO_ALLOW}")


def leads_out(path: str | os.PathLike, root: str | os.PathLike) -> bool:
    """Checks whether links lead a path out of a folder."""
    root = os.path.realpath(root)
    return os.path.commonpath([root, os.path.realpath(path)]) != root


def hold_out(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Draws which of these labelled videos to hold out, bool (n,): `share` of each class, at least one, never all.

    So a class with a single video is not held out. Deterministic by seed.
    """
    held = np.zeros(len(labels), dtype=bool)
    rng = np.random.default_rng(seed)
    by_class = np.argsort(labels, kind="stable")
    for members in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        if len(members) > 1:
            held[rng.permutation(members)[: min(len(members) - 1, max(1, round(share * len(members))))]] = True
    return held


def _with_slashes(paths: TextColumn, root: str | os.PathLike, file: str | os.PathLike) -> TextColumn:
    """Returns Windows paths with '/'; unchanged if files are named with '\\', or if there is no root to look in."""
    if os.sep == "\\" or not os.fspath(root) or b"\\" not in paths.buffer:
        return paths
    candidates = [path for path in paths if b"\\" in path][:MAX_LOOKUPS]
    if not candidates or any(os.path.exists(os.path.join(root, os.fsdecode(path))) for path in candidates):
        return paths
    first = os.fsdecode(candidates[0])
    log.warning("%s: %r and others have '\\' between folders, as on Windows: read as '/'", file, first)
    return replace(paths, buffer=paths.buffer.replace(b"\\", b"/"))


def _check_one_label_each(rows: Rows, file: str | os.PathLike) -> None:
    """Raises UserError for a video with two labels, naming both of its lines."""
    buffer = rows.paths.buffer
    paths: Iterable[bytes] = chain.from_iterable(rows.paths.chunks())
    if b"./" in buffer or b"//" in buffer:
        paths = map(os.path.normpath, paths)
    digests = np.fromiter(map(hash, paths), np.int64, len(rows.paths))
    order = np.argsort(digests, kind="stable")
    digests, labels = digests[order], rows.labels[order]
    wrong = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]))
    if wrong.size:
        one, other = order[wrong[0]], order[wrong[0] + 1]
        raise UserError(
            f"{file}:{rows.lines[other]}: expected one label for each video, got {rows.labels[other]} for "
            f"{os.fsdecode(rows.paths[int(other)])!r}, which has {rows.labels[one]} on line {rows.lines[one]} "
            f"({wrong.size} such pairs): keep one of them"
        )
