"""The quarantine: a table of unreadable videos that grows during a run and that a resumed run respects."""

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
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import printable
from tbe.errors import UserError

log = logging.getLogger(__name__)

MIN_COUNTED = 10  # unreadable videos that are always tolerated


class Fault(NamedTuple):
    """An unreadable video: its path, the reason, and the readers that tried."""

    path: str
    reason: str
    reader: str


class Quarantine:
    """Writes `quarantine.csv` (path,reason,reader), one row per video, and `replaced.csv` (epoch,path,replaced_by).

    Several processes may write to the same files. max_failed: the share of videos that may fail, among those requested
    since this object was made; if more than that, and more than ten, fail, `check` raises UserError.
    """

    def __init__(self, file: str | os.PathLike, max_failed: float = 0.05):
        if not 0 <= max_failed <= 1:
            raise UserError(f"max_failed: expected a share from 0 to 1, got {max_failed}")
        self.file = Path(file)
        self.max_failed = max_failed
        self.num_requested = 0
        self.num_failed = 0

    def paths(self) -> set[str]:
        """Returns the paths of the videos known to be unreadable."""
        if not self.file.exists():
            return set()
        with self.file.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
            return {row["path"] for row in csv.DictReader(rows) if row.get("path")}

    def holds(self, records: Records) -> np.ndarray:
        """Returns which of these videos are known to be unreadable, bool (n,)."""
        known = self.paths()
        held = np.zeros(len(records), bool)
        if known:
            start = os.path.join(records.root, "")
            listed = [os.fsencode(name) for path in known for name in (path, path.removeprefix(start))]
            # Of ten million paths few are looked at one by one.
            for place in np.flatnonzero(np.isin(records.paths.digests(), TextColumn.of(listed).digests())).tolist():
                held[place] = records.path(place) in known
        return held

    def add(self, faults: Iterable[Fault]) -> None:
        """Records videos that failed, each of them once however often it is added."""
        known = self.paths() if faults else set()
        for fault in faults:
            self.num_failed += 1
            if fault.path not in known:
                known.add(fault.path)
                log.warning("unreadable, left out from now on: %s", printable(fault.reason))
                _append(self.file, Fault._fields, fault)

    def replaced(self, epoch: int, pairs: Iterable[tuple[str, str]]) -> None:
        """Records the replacements of an epoch: pairs (path, replaced_by)."""
        for pair in pairs:
            _append(self.file.with_name("replaced.csv"), ("epoch", "path", "replaced_by"), (epoch, *pair))

    def check(self, num_requested: int) -> None:
        """Adds to the number of requested videos; raises UserError if too many of all of them failed."""
        self.num_requested += num_requested
        if self.num_failed > max(MIN_COUNTED, self.max_failed * self.num_requested):
            raise UserError(
                f"expected at most {self.max_failed:.0%} of the videos to be unreadable (max_failed={self.max_failed}),"
                f" got {self.num_failed} of the first {self.num_requested}. {self.file} lists them with reasons; fix "
                "what they have in common, or set max_failed to the share that you accept"
            )


def _append(file: Path, columns: Sequence[str], row: Sequence[object]) -> None:
    """Appends a row in one write, so that several processes can; the first one writes the header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        writer.writerow(columns)
    writer.writerow(row)
    with file.open("ab", buffering=0) as out:
        out.write(buffer.getvalue().encode("utf-8", errors="surrogateescape"))


class ReadableVideos(VideoSource):
    """A source without the videos in quarantine, for measurements, which replace nothing.

    The readable videos of a split are fixed at its first use, so that records, scenes and foregrounds keep one order,
    whatever is found unreadable meanwhile.
    """

    def __init__(self, source: VideoSource, quarantine: Quarantine):
        self.source = source
        self.quarantine = quarantine
        self.name = source.name
        self.num_classes = source.num_classes
        self._by_split: dict[str, tuple[Records, np.ndarray]] = {}  # the readable videos and their positions

    def prepare(self) -> None:
        self.source.prepare()

    def has(self, split: str) -> bool:
        return self.source.has(split)

    def records(self, split: str) -> Records:
        """Returns the readable videos of a split; raises UserError if there are none."""
        return self._readable(split)[0]

    @property
    def class_names(self) -> Sequence[str] | None:
        return self.source.class_names

    def scenes(self, split: str) -> Tensor | None:
        scenes = self.source.scenes(split)
        return None if scenes is None else scenes[self._readable(split)[1]]

    def groups(self, split: str) -> Tensor | None:
        groups = self.source.groups(split)
        return None if groups is None else groups[self._readable(split)[1]]

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        return self.source.foreground(split, int(self._readable(split)[1][index]), frames)

    def foreground_version(self, split: str) -> list | None:
        return self.source.foreground_version(split)

    def labelings(self) -> dict[str, VideoSource]:
        return {label: ReadableVideos(source, self.quarantine) for label, source in self.source.labelings().items()}

    def _readable(self, split: str) -> tuple[Records, np.ndarray]:
        if split not in self._by_split:
            everything = self.source.records(split)
            positions = np.flatnonzero(~self.quarantine.holds(everything))
            if not len(positions):
                raise UserError(
                    f"data={self.name}: expected readable videos in {split}, got none: {self.quarantine.file} lists "
                    f"all {len(everything)} of them with reasons"
                )
            self._by_split[split] = everything.select(positions), positions
        return self._by_split[split]
