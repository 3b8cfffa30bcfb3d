"""List files and the records read from them: which videos there are and what they show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UNLABELLED = -1
FORMATS = {2: "<path> <label>", 3: "<path> <label> <num_frames>"}


@dataclass(frozen=True)
class Records:
    """Videos as columns: 250,000 of them cost a few megabytes, shared by all workers of a loader.

    paths: bytes (n,), relative to `root`; labels: int64 (n,), `UNLABELLED` where unknown;
    num_frames: int64 (n,), 0 where the list does not say.
    """

    root: str
    paths: np.ndarray
    labels: np.ndarray
    num_frames: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """The full path of one video."""
        return os.path.join(self.root, os.fsdecode(self.paths[index]))

    def select(self, indices: np.ndarray) -> Records:
        """The records at these positions, in this order."""
        return Records(self.root, self.paths[indices], self.labels[indices], self.num_frames[indices])


def make_records(root: str | os.PathLike, paths: list[str], labels: list[int], num_frames: list[int]) -> Records:
    """Records of parallel lists."""
    encoded = np.array([os.fsencode(path) for path in paths], dtype=bytes)
    return Records(os.fspath(root), encoded, np.array(labels, np.int64), np.array(num_frames, np.int64))


def read_list(file: str | os.PathLike, root: str | os.PathLike) -> Records:
    """Reads `path label` or `path label num_frames`, one video a line, as its first line has it.

    Paths may hold spaces. Empty lines and lines that start with '#' are passed over. A line of another
    form, or a list without a video, is a ValueError that names the file and the line.
    """
    paths: list[str] = []
    numbers: list[tuple[int, ...]] = []
    expected = 0
    with open(file, encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            expected = expected or _columns(line)
            fields = line.rsplit(None, expected - 1) if expected else []
            if len(fields) != expected or not expected or not all(_is_count(field) for field in fields[1:]):
                wanted = (
                    f"'{FORMATS[expected]}' like the lines before it"
                    if paths
                    else " or ".join(f"'{form}'" for form in FORMATS.values())
                )
                raise ValueError(f"{file}:{number}: expected {wanted}, got {line!r}")
            paths.append(fields[0])
            numbers.append(tuple(int(field) for field in fields[1:]))
    if not paths:
        raise ValueError(f"{file}: expected at least one line of '{FORMATS[2]}', got an empty list")
    labels = [row[0] for row in numbers]
    num_frames = [row[1] if expected == 3 else 0 for row in numbers]
    return make_records(root, paths, labels, num_frames)


def write_list(file: str | os.PathLike, rows: list[tuple]) -> None:
    """Writes one row a line, fields joined by spaces; the file appears whole or not at all."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_text("".join(" ".join(str(field) for field in row) + "\n" for row in rows), encoding="utf-8")
    part.replace(file)


def check_labels(records: Records, num_classes: int, where: str) -> None:
    """Refuses labels outside [0, num_classes): most often a list with its columns in another order."""
    wrong = np.flatnonzero((records.labels < 0) | (records.labels >= num_classes))
    if wrong.size:
        first = int(wrong[0])
        swapped = records.num_frames.any() and records.num_frames.max() < num_classes
        hint = " The columns look swapped: the order is path, label, num_frames." if swapped else ""
        raise ValueError(
            f"{where}: expected labels from 0 to {num_classes - 1}, got {records.labels[first]} for "
            f"{os.fsdecode(records.paths[first])!r} ({wrong.size} such videos).{hint}"
        )


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


def _columns(line: str) -> int:
    """2 or 3, by how many whole numbers end the line; 0 when there is none."""
    fields = line.rsplit(None, 2)
    numbers = [_is_count(field) for field in fields[1:]]
    if len(fields) == 3 and all(numbers):
        return 3
    return 2 if numbers and numbers[-1] else 0


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit()
