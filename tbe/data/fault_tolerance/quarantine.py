"""Videos that could not be read, as a table that grows while a run goes on, and which is heeded when it is resumed."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import Records
from tbe.data.sources.text_files import printable
from tbe.errors import UserError

log = logging.getLogger(__name__)

MIN_COUNTED = 10  # so many unreadable videos are never too many


class Fault(NamedTuple):
    """A video that could not be read: its path, why not, and the readers that tried."""

    path: str
    reason: str
    reader: str


class Quarantine:
    """`quarantine.csv` (path,reason,reader), a video once, and `replaced.csv` (epoch,path,replaced_by) beside it.

    Several processes may write to the same files. most: the share of videos that may fail, of those that were asked
    for since this object was made; where more than that, and more than ten, do, the run stops with a ValueError.
    """

    def __init__(self, file: str | os.PathLike, most: float = 0.05):
        if not 0 <= most <= 1:
            raise UserError(f"max_failed: expected a share from 0 to 1, got {most}")
        self.file = Path(file)
        self.most = most
        self.num_asked = 0
        self.num_failed = 0

    def paths(self) -> set[str]:
        """The videos that are known to be unreadable."""
        if not self.file.exists():
            return set()
        with self.file.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
            return {row["path"] for row in csv.DictReader(rows) if row.get("path")}

    def holds(self, records: Records) -> np.ndarray:
        """Which of these videos are known to be unreadable, bool (n,)."""
        known = self.paths()
        if not known:
            return np.zeros(len(records), bool)
        return np.fromiter((records.path(index) in known for index in range(len(records))), bool, len(records))

    def add(self, faults: Iterable[Fault]) -> None:
        """Names videos that failed, each of them once however often it is added."""
        known = self.paths() if faults else set()
        for fault in faults:
            self.num_failed += 1
            if fault.path not in known:
                known.add(fault.path)
                log.warning("not read, and left out from now on: %s", printable(fault.reason))
                _append(self.file, Fault._fields, fault)

    def replaced(self, epoch: int, pairs: Iterable[tuple[str, str]]) -> None:
        """Notes which videos stood in for others in an epoch: (path, replaced_by)."""
        for pair in pairs:
            _append(self.file.with_name("replaced.csv"), ("epoch", "path", "replaced_by"), (epoch, *pair))

    def check(self, num_asked: int) -> None:
        """Counts videos that were asked for; a ValueError when too many of all of them failed."""
        self.num_asked += num_asked
        if self.num_failed > max(MIN_COUNTED, self.most * self.num_asked):
            raise UserError(
                f"expected at most {self.most:.0%} of the videos to be unreadable (max_failed={self.most}), got "
                f"{self.num_failed} of the first {self.num_asked}. {self.file} names them and why; mend what they have "
                "in common, or set max_failed to the share that you accept"
            )


def _append(file: Path, columns: Sequence[str], row: Sequence[object]) -> None:
    """Adds a row in one write, so that several processes can; the first one writes the columns."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        writer.writerow(columns)
    writer.writerow(row)
    with file.open("ab", buffering=0) as out:
        out.write(buffer.getvalue().encode("utf-8", errors="surrogateescape"))


class ReadableVideos(VideoSource):
    """A source of videos without those in quarantine, for measurements, which replace nothing.

    Which videos of a split these are is settled when it is first asked for: all that is said of them stays in one
    order, whatever is found unreadable meanwhile.
    """

    def __init__(self, source: VideoSource, quarantine: Quarantine):
        self.source = source
        self.quarantine = quarantine
        self.name = source.name
        self.num_classes = source.num_classes
        self._found: dict[str, tuple[Records, np.ndarray]] = {}  # of each split the readable videos and their places

    def prepare(self) -> None:
        self.source.prepare()

    def has(self, split: str) -> bool:
        return self.source.has(split)

    def records(self, split: str) -> Records:
        """The readable videos of a split; a ValueError where there is none."""
        return self._readable(split)[0]

    @property
    def class_names(self) -> Sequence[str] | None:
        return self.source.class_names

    def scenes(self, split: str) -> Tensor | None:
        scenes = self.source.scenes(split)
        return None if scenes is None else scenes[self._readable(split)[1]]

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        return self.source.foreground(split, int(self._readable(split)[1][index]), frames)

    def labellings(self) -> dict[str, VideoSource]:
        return {label: ReadableVideos(source, self.quarantine) for label, source in self.source.labellings().items()}

    def _readable(self, split: str) -> tuple[Records, np.ndarray]:
        if split not in self._found:
            everything = self.source.records(split)
            places = np.flatnonzero(~self.quarantine.holds(everything))
            if not len(places):
                raise UserError(
                    f"data={self.name}: expected readable videos in {split}, got none: {self.quarantine.file} names "
                    f"all {len(everything)} of them and why"
                )
            self._found[split] = everything.select(places), places
        return self._found[split]
