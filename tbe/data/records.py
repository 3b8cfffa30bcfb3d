"""List files and the records read from them: which videos there are and what they show."""

from __future__ import annotations

import codecs
import io
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tbe.data.column_order import (
    frames_before_labels,
    frames_before_labels_of_folders,
    hint_of_labels,
    hint_of_line,
    hint_of_path,
)
from tbe.data.readers.base import DecodeError
from tbe.errors import UserError

UNLABELLED = -1
HOW_TO_LEAVE = "Where the list is trusted, allow it with data.allow_outside_root=true, or verify's --allow-outside-root"
# Absolute paths, of Windows too, and steps up, in paths that stand one a line.
OUTSIDE = re.compile(rb"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)", re.MULTILINE)
FORMATS = {2: "<path> <label>", 3: "<path> <label> <num_frames>"}


@dataclass(frozen=True)
class Records:
    """Videos as columns: 250,000 of them cost a few megabytes, shared by all workers of a loader.

    paths: bytes (n,), relative to `root`; labels: int64 (n,), `UNLABELLED` where unknown;
    num_frames: int64 (n,), 0 where the list does not say. is_fenced: whether links may not lead out of `root`.
    """

    root: str
    paths: np.ndarray
    labels: np.ndarray
    num_frames: np.ndarray
    is_fenced: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """The full path of one video."""
        return os.path.join(self.root, os.fsdecode(self.paths[index]))

    def path_to_open(self, index: int) -> str:
        """The full path of one video; a DecodeError where links lead it out of a root that is fenced."""
        path = self.path(index)
        if self.is_fenced:
            check_links(path, self.root)
        return path

    def select(self, indices: np.ndarray) -> Records:
        """The records at these positions, in this order."""
        paths, labels, num_frames = (column[indices] for column in (self.paths, self.labels, self.num_frames))
        return replace(self, paths=paths, labels=labels, num_frames=num_frames)


def make_records(
    root: str | os.PathLike,
    paths: Sequence[str | bytes],
    labels: Sequence[int] | np.ndarray,
    num_frames: Sequence[int] | np.ndarray,
) -> Records:
    """Records of parallel lists."""
    encoded = [path if isinstance(path, bytes) else os.fsencode(path) for path in paths]
    return Records(
        os.fspath(root), np.array(encoded, dtype=bytes), np.array(labels, np.int64), np.array(num_frames, np.int64)
    )


def read_list(file: str | os.PathLike, root: str | os.PathLike) -> Records:
    """Reads `path label` or `path label num_frames`, one video a line, as its first line has it.

    Paths may hold spaces, and bytes that are no UTF-8. Empty lines and lines that start with '#' are passed over. A
    line of another form, columns that are clearly in another order, or a list without a video, is a ValueError that
    names the file, the line where there is one, and what the list looks like.
    """
    content = Path(file).read_bytes().removeprefix(codecs.BOM_UTF8)
    paths, *numbers = _plain_columns(content, root) or _columns_of_rows(content, root, file)
    labels, *rest = (np.array(column).astype(np.int64) for column in numbers)
    if rest and frames_before_labels(labels, rest[0]):
        raise UserError(
            f"{file}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': the third column has "
            f"zeros, as for {os.fsdecode(paths[int(rest[0].argmin())])!r}, the second none, and no "
            "video has 0 frames"
        )
    return make_records(root, paths, labels, rest[0] if rest else np.zeros_like(labels))


def write_list(file: str | os.PathLike, rows: list[tuple]) -> None:
    """Writes one row a line, fields joined by spaces; the file appears whole or not at all.

    Paths are as Python names files: bytes that are no UTF-8 are written as they were.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Unique, so that two processes that write the same list do not write into each other's file.
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    content = "".join(" ".join(str(field) for field in row) + "\n" for row in rows)
    try:
        part.write_bytes(content.encode("utf-8", errors="surrogateescape"))
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def check_labels(records: Records, num_classes: int, where: str) -> None:
    """Refuses labels outside [0, num_classes), and those that look like numbers of frames."""
    labels, num_frames = records.labels, records.num_frames
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        first = int(wrong[0])
        raise UserError(
            f"{where}: expected labels from 0 to {num_classes - 1}, got {labels[first]} for "
            f"{os.fsdecode(records.paths[first])!r} ({wrong.size} such videos)."
            f"{hint_of_labels(labels, num_frames, records.paths, num_classes)}"
        )
    if 0 < num_frames.max() < num_classes:  # then what counts frames could be labels
        folders = np.array([os.path.dirname(path) for path in records.paths.tolist()])
        if frames_before_labels_of_folders(folders, labels, num_frames):
            raise UserError(
                f"{where}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': each of the "
                f"{len(np.unique(folders))} folders has one number of its own in the third column, and several in "
                "the second"
            )


def fence(records: Records, where: str) -> Records:
    """The same records, with a root that they don't leave: a ValueError for absolute paths and '..' in them."""
    found = OUTSIDE.search(b"\n".join(records.paths.tolist()))
    if found:
        number = found.string.count(b"\n", 0, found.start())
        path = os.fsdecode(records.paths[number])
        raise UserError(
            f"{where}: expected paths below {records.root or 'the root'}, got {path!r} as video {number + 1}. "
            f"{HOW_TO_LEAVE}"
        )
    return replace(records, is_fenced=True)


def check_links(path: str, root: str | os.PathLike) -> None:
    """A DecodeError where links lead the path of a video out of its root."""
    root, real = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        raise DecodeError(f"could not open {path}: it is a link to {real}, outside of {root}. {HOW_TO_LEAVE}")


def hold_out(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Which of these labelled videos to hold out, (n,) bool: `share` of each class, at least one.

    A class of a single video is not held out. Deterministic by seed.
    """
    held = np.zeros(len(labels), dtype=bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) > 1:
            held[rng.permutation(members)[: max(1, round(share * len(members)))]] = True
    return held


def _plain_columns(content: bytes, root: str | os.PathLike) -> list[list[bytes]] | None:
    """The columns of a list of nothing but rows with one space between fields; None for any other.

    What most lists are, and half a million lines a second: bytes are not looked at one by one in Python.
    """
    content = content.replace(b"\r\n", b"\n").rstrip()
    first = os.fsdecode(content.partition(b"\n")[0])
    expected = _columns(first, root)
    if not expected or hint_of_path(first.rsplit(None, expected - 1)[0], root) or b"\n#" in b"\n" + content:
        return None
    paths = content.split(b"\n")
    columns: list[list[bytes]] = []
    for _ in range(expected - 1):
        parts = [line.rpartition(b" ") for line in paths]
        paths = [path for path, _, _ in parts]
        columns.insert(0, [number for _, _, number in parts])
    is_parted = all(paths) and all(map(all, columns)) and all(b"".join(column).isdigit() for column in columns)
    around = b"\n" + b"\n".join(paths) + b"\n"
    is_trimmed = not any(gap in around for gap in (b" \n", b"\t\n", b"\n ", b"\n\t", b"\r"))
    return [paths, *columns] if is_parted and is_trimmed else None


def _columns_of_rows(content: bytes, root: str | os.PathLike, file: str | os.PathLike) -> list[list[bytes]]:
    """The columns of any list, row by row; a ValueError for what is no row, or for none."""
    rows: list[list[str]] = []
    expected = 0
    for number, line in enumerate(io.StringIO(os.fsdecode(content), newline=None), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        expected = expected or _columns(line, root)
        fields = line.rsplit(None, expected - 1) if expected else []
        is_row = expected and len(fields) == expected and all(_is_count(field) for field in fields[1:])
        hint = hint_of_path(fields[0], root) if is_row and not rows else ""
        if not is_row or hint:
            wanted = (
                f"'{FORMATS[expected]}' like the lines before it"
                if rows
                else " or ".join(f"'{form}'" for form in FORMATS.values())
            )
            raise UserError(f"{file}:{number}: expected {wanted}, got {line!r}.{hint or hint_of_line(line)}")
        rows.append(fields)
    if not rows:
        raise UserError(f"{file}: expected at least one line of '{FORMATS[2]}', got an empty list")
    return [list(map(os.fsencode, column)) for column in zip(*rows, strict=True)]


def _columns(line: str, root: str | os.PathLike) -> int:
    """2 or 3, by how many whole numbers end the line; 0 when there is none."""
    fields = line.rsplit(None, 2)
    numbers = [_is_count(field) for field in fields[1:]]
    if len(fields) == 3 and all(numbers):
        # A folder may be named 'clip 7': only the disk can tell.
        shorter, longer = (os.path.join(root, line.rsplit(None, count)[0]) for count in (2, 1))
        return 2 if os.path.exists(longer) and not os.path.exists(shorter) else 3
    return 2 if numbers and numbers[-1] else 0


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit()
