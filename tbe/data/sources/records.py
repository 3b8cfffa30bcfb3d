"""Records of videos and their labels, and the list files that they are read from."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from tbe.data.readers.base import DecodeError
from tbe.data.sources.list_hints import (
    frames_before_labels,
    frames_before_labels_of_folders,
    hint_of_labels,
    may_be_labels_of_folders,
)
from tbe.data.sources.list_rows import FORMATS, Rows, rows_of
from tbe.data.sources.list_tables import SUFFIXES, is_table, table_rows, write_table
from tbe.data.sources.memory_files import Shared, is_shared, shared
from tbe.data.sources.text_columns import Names, TextColumn
from tbe.data.sources.text_files import to_utf8
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.data.storage.pieces import LostPiece, Piece, Places, Store
from tbe.data.storage.stored_video import StoredVideo, Video
from tbe.errors import UserError
from tbe.runs import replacing

UNLABELED = -1
HOW_TO_ALLOW = "If you trust the list, allow it with data.allow_outside_root=true, or verify's --allow-outside-root"
# Matches absolute paths, also of Windows, and '..', in paths that stand one per line.
OUTSIDE = re.compile(rb"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)", re.MULTILINE)
SIGNS_OF_OUTSIDE = (b"..", b":")  # what such a path has, or begins with a slash
MAX_LOOKUPS = 100  # paths that are looked for, one of which decides for all

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """Videos as columns: 250,000 of them take some 20 MB, shared by all workers of a loader however these are started.

    paths: relative to `root`, as bytes; labels: int64 (n,), `UNLABELED` if unknown;
    num_frames: int64 (n,), 0 if unknown. is_fenced: whether links out of `root` are refused.
    scenes, groups: the names in the columns of a table; None without them. store: what videos are read from that are no
    files on disk; places: where they lie in its shards, None if each is a file of it.
    """

    root: str
    paths: TextColumn
    labels: np.ndarray
    num_frames: np.ndarray
    is_fenced: bool = False
    scenes: Names | None = None
    groups: Names | None = None
    store: Store | None = None
    places: Places | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: _handed_over(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, _received(value))

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """Returns the full path of one video."""
        return os.path.join(self.root, os.fsdecode(self.paths[index]))

    def to_open(self, index: int) -> Video:
        """Returns what readers open: the content of a video in a store, or a path in the Unicode form that is on disk.

        Raises DecodeError if links lead it out of a fenced root, or if the store does not have it as it was.
        """
        if self.store is not None:
            return self._stored(self.store, index)
        path = path_on_disk(self.path(index))
        if self.is_fenced:
            check_links(path, self.root)
        return path

    def prefetch(self, indices: Sequence[int]) -> None:
        """Begins to read videos that lie elsewhere, and will be opened in this order, in the background."""
        if self.store is not None:
            self.store.prefetch([self._piece(index) for index in indices if self._is_placed(index)])

    def wait(self, index: int) -> None:
        """Waits until a video that lies elsewhere is at hand, or it is known that it can't be."""
        if self.store is not None and self._is_placed(index):
            self.store.wait(self._piece(index))

    def digest(self) -> str:
        """Returns a hash that changes with the content of a video, as far as `version` tells it, and with the root."""
        digest = hashlib.blake2b(self.root.encode(errors="surrogateescape"), digest_size=16)
        if self.places is not None:
            digest.update(self.places.size.tobytes())
            digest.update(self.places.crc32.tobytes())
        elif self.store is None:
            for index in range(len(self)):
                digest.update(repr(self.version(index)).encode())
        return digest.hexdigest()

    def version(self, index: int) -> tuple[int, ...] | None:
        """Returns numbers that change with the content of a video: size and checksum, or size and time of its file.

        Of a folder of frames, of its first and last one, too. None if there is no such file, or if it lies elsewhere as
        a file.
        """
        if self.places is not None:
            return int(self.places.size[index]), int(self.places.crc32[index])
        if self.store is not None:
            return None
        path = path_on_disk(self.path(index))
        try:
            states = [os.stat(path)]
        except OSError:
            return None
        if stat.S_ISDIR(states[0].st_mode):
            names = sorted(os.listdir(path))
            states += [os.stat(os.path.join(path, name)) for name in [*names[:1], *names[-1:]]]
        return tuple(number for state in states for number in (state.st_size, state.st_mtime_ns))

    def select(self, indices: np.ndarray) -> Records:
        """Returns the records at these positions, in this order."""
        return replace(
            self,
            paths=self.paths[indices],
            labels=self.labels[indices],
            num_frames=self.num_frames[indices],
            scenes=self.scenes and self.scenes.select(indices),
            groups=self.groups and self.groups.select(indices),
            places=None if self.places is None else self.places.select(indices),
        )

    def _stored(self, store: Store, index: int) -> StoredVideo:
        path = self.path(index)
        try:
            return StoredVideo(path, store.read(self._piece(index)))
        except LostPiece as error:
            raise DecodeError(f"could not open {path}: {error}") from error

    def _is_placed(self, index: int) -> bool:
        return self.places is None or self.places.has(index)

    def _piece(self, index: int) -> Piece:
        """Returns where a video lies in the store; raises LostPiece if its index does not name it."""
        return Piece(os.fsdecode(self.paths[index])) if self.places is None else self.places.piece(index)


def _handed_over(value: Any) -> Any:
    """Returns what a process that starts anew is handed for a large array: a file in memory, not a copy."""
    if isinstance(value, np.ndarray) and is_shared(value.nbytes):
        return shared(value, value)
    return _each_column(value, _handed_over)


def _received(value: Any) -> Any:
    return value.array() if isinstance(value, Shared) else _each_column(value, _received)


def _each_column(value: Any, change: Callable[[Any], Any]) -> Any:
    """Returns names and places with their columns changed, anything else as it is."""
    if isinstance(value, Names):
        return Names(change(value.numbers), value.known)
    if isinstance(value, Places):
        return replace(value, **{name: change(column) for name, column in vars(value).items() if name != "shards"})
    return value


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

    A file named .parquet, or .csv with a column `path` in its head, is read as a table of the columns path, label,
    num_frames, scene and group instead, of which the last three may be missing.

    Paths may contain spaces and bytes that are not UTF-8; '\\' separates folders if no file's name has it. Empty lines
    and lines that start with '#' are skipped. Raises UserError, naming the file, the line if there is one, and what the
    list looks like, for an invalid line, columns clearly in another order, a video with two labels, or an empty list.
    """
    is_named = is_table(file)
    rows = table_rows(file) if is_named else rows_of(to_utf8(Path(file).read_bytes(), file), root, file)
    if not is_named and frames_before_labels(rows.labels, rows.num_frames):
        raise UserError(
            f"{file}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': the third column has "
            f"zeros, as for {os.fsdecode(rows.paths[int(rows.num_frames.argmin())])!r}, the second none, and no "
            "video has 0 frames"
        )
    rows = rows._replace(paths=_with_slashes(rows.paths, root, file))
    _check_one_label_each(rows, file)
    return Records(os.fspath(root), *rows[:3], scenes=rows.scenes, groups=rows.groups)


def write_list(file: str | os.PathLike, rows: Iterable[tuple]) -> None:
    """Writes one row per line, fields joined by spaces; writes atomically.

    Paths are as Python decodes file names: bytes that are not UTF-8 are written as they were.
    """
    lines = (" ".join(str(field) for field in row) + "\n" for row in rows)
    with replacing(Path(file)) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        out.writelines(lines)


def write_records(file: str | os.PathLike, records: Records, kept: np.ndarray | None = None) -> None:
    """Writes a list of the columns that are known: a table for a name that ends in .csv or .parquet, else text.

    kept: bool (n,), the records to write, at least one; all by default. Text lists have no scenes and groups. Writes
    atomically, some rows at a time.
    """
    chosen = np.ones(len(records), bool) if kept is None else kept
    has_frames = bool(records.num_frames[chosen].any())
    names = names_of(records) if is_written_as_table(file) else {}

    def rows() -> Iterator[tuple]:
        columns = [map(os.fsdecode, records.paths), records.labels, *([records.num_frames] if has_frames else [])]
        return compress(zip(*columns, *map(texts_of, names.values()), strict=True), chosen)

    write_rows(file, ["path", "label", *(["num_frames"] if has_frames else []), *names], rows)


def names_of(records: Records) -> dict[str, Names]:
    """Returns the scenes and groups of records, if they have them, by the name of their column in a table."""
    names = {"scene": records.scenes, "group": records.groups}
    return {name: column for name, column in names.items() if column is not None}


def texts_of(names: Names) -> Iterator[str]:
    """Yields the name of each video, as Python decodes file names."""
    return map(os.fsdecode, names.each())


def write_rows(file: str | os.PathLike, columns: Sequence[str], rows: Callable[[], Iterable[tuple]]) -> None:
    """Writes a list of these columns: a table for a name that ends in .csv or .parquet, else text without their names.

    rows: gives all of them, at least one, each time it is called, texts as Python decodes file names. Writes
    atomically, some rows at a time.
    """
    if not is_written_as_table(file):
        write_list(file, rows())
        return
    with replacing(Path(file)) as part:
        write_table(part, columns, rows, Path(file).suffix.lower())


def is_written_as_table(file: str | os.PathLike) -> bool:
    """Checks whether a list of this name is written as a table."""
    return Path(file).suffix.lower() in SUFFIXES


def list_suffix(file: Path) -> str:
    """Returns the suffix of what is made of a list: that of a table, else .txt."""
    return file.suffix if is_table(file) else ".txt"


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
        few = np.linspace(0, len(records) - 1, min(len(records), MAX_LOOKUPS)).round().astype(int)
        if not may_be_labels_of_folders(_folders(records.paths[few]), num_frames[few]):  # nor are those of all
            return
        folders = _folders(records.paths)
        if frames_before_labels_of_folders(folders, labels, num_frames):
            raise UserError(
                f"{where}: expected '{FORMATS[3]}', got what looks like '<path> <num_frames> <label>': each of the "
                f"{folders.max() + 1} folders has one number of its own in the third column, and several in "
                "the second"
            )


def fence(records: Records, where: str) -> Records:
    """Returns the same records, fenced to their root; raises UserError for absolute paths and '..' in them."""
    if any(part in records.paths.buffer for part in SIGNS_OF_OUTSIDE) or _is_one_absolute(records.paths):
        _check_each(records, where)
    return replace(records, is_fenced=True)


def _is_one_absolute(paths: TextColumn) -> bool:
    firsts = np.frombuffer(paths.buffer, np.uint8)[paths.starts]
    return bool(np.isin(firsts, np.frombuffer(b"/\\", np.uint8)).any())


def _check_each(records: Records, where: str) -> None:
    """Raises UserError for an absolute path, and one with '..'."""
    num_before = 0
    for paths in records.paths.chunks():
        if found := OUTSIDE.search(b"\n".join(paths)):
            number = found.string.count(b"\n", 0, found.start())
            raise UserError(
                f"{where}: expected paths below {records.root or 'the root'}, got {os.fsdecode(paths[number])!r} as "
                f"video {num_before + number + 1}. {HOW_TO_ALLOW}"
            )
        num_before += len(paths)


def check_links(path: str, root: str | os.PathLike) -> None:
    """Raises DecodeError if links lead the path of a video out of its root."""
    if leads_out(path, root):
        real, root = os.path.realpath(path), os.path.realpath(root)
        raise DecodeError(f"could not open {path}: it is a link to {real}, outside of {root}. {HOW_TO_ALLOW}")


def leads_out(path: str | os.PathLike, root: str | os.PathLike) -> bool:
    """Checks whether links lead a path out of a folder."""
    root = os.path.realpath(root)
    return os.path.commonpath([root, os.path.realpath(path)]) != root


def _folders(paths: TextColumn) -> np.ndarray:
    """Numbers the folders of paths in the order in which they come, int64 (n,)."""
    names: dict[bytes, int] = {}
    return np.fromiter((names.setdefault(os.path.dirname(path), len(names)) for path in paths), np.int64, len(paths))


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


def hold_out_groups(groups: np.ndarray, labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Draws which videos to hold out, bool (n,): whole groups (n,), until they have `share` of the videos.

    So no person or recording is on both sides. Videos of the group -1 count alone. A class never loses all of its
    videos: a group that has the last of a class stays, and with a single group nothing is held out. Deterministic by
    seed.
    """
    held = np.zeros(len(labels), dtype=bool)
    groups = np.where(groups < 0, groups.max(initial=0) + 1 + np.arange(len(groups)), groups)
    classes = np.unique(labels, return_inverse=True)[1]
    left = np.bincount(classes)
    by_group = np.argsort(groups, kind="stable")
    members = np.split(by_group, np.flatnonzero(np.diff(groups[by_group])) + 1)
    wanted, taken = share * len(labels), 0
    for number in np.random.default_rng(seed).permutation(len(members)):
        if taken >= wanted:
            break
        found, counts = np.unique(classes[members[number]], return_counts=True)
        if np.all(left[found] > counts):
            left[found] -= counts
            held[members[number]] = True
            taken += len(members[number])
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
    paths, buffer = rows.paths, rows.paths.buffer
    if b"./" in buffer or b"//" in buffer:
        paths = TextColumn.of(map(os.path.normpath, paths))
    digests = paths.digests()
    in_order = np.sort(digests)
    if not (in_order[1:] == in_order[:-1]).any():
        return
    order = np.argsort(digests, kind="stable")
    digests, labels = digests[order], rows.labels[order]
    wrong = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]))
    pairs = [(int(order[place]), int(order[place + 1])) for place in wrong.tolist()]
    pairs = [(one, other) for one, other in pairs if paths[one] == paths[other]]
    if pairs:
        one, other = pairs[0]
        raise UserError(
            f"{file}:{rows.line(other)}: expected one label for each video, got {rows.labels[other]} for "
            f"{os.fsdecode(rows.paths[other])!r}, which has {rows.labels[one]} on line {rows.line(one)} "
            f"({len(pairs)} such pairs): keep one of them"
        )
