"""Scene labels of the videos in list files, read from separate scene lists or from one CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from tbe.data.sources.base import VideoSource
from tbe.data.sources.list_hints import CLASSES
from tbe.data.sources.records import Records, read_list
from tbe.data.sources.text_files import read_text
from tbe.errors import MissingFile, UserError


@dataclass(frozen=True)
class SceneLists:
    """Scene lists below `folder`, named like the video lists: rows `path scene`, in any order, also of further videos.

    An optional classes.txt beside them names the scenes. A file in place of the folder is a CSV of all videos, with a
    head that has `path` and `scene`; its scenes are names, numbered in sorted order.
    """

    folder: str

    def has(self, file: str) -> bool:
        """Checks whether there is a list for that of the videos, or a CSV, which is for all."""
        return Path(self.folder).is_file() or Path(self.folder, file).is_file()

    def of(self, records: Records, file: str) -> np.ndarray:
        """Returns the scenes of these videos, int64 (n,); raises UserError if the list of this name lacks one."""
        if Path(self.folder).is_file():
            return self._of_csv(records)
        scenes = Path(self.folder, file)
        if not scenes.is_file():
            raise MissingFile(f"{scenes}: expected the list of scenes, got no such file (data.scenes={self.folder})")
        listed = read_list(scenes, "")
        known = dict(zip(listed.paths, listed.labels.tolist(), strict=True))
        missing = [path for path in records.paths if path not in known]
        if missing:
            got = f"none of {os.fsdecode(missing[0])!r} ({len(missing)} such)"
            raise UserError(f"{scenes}: expected the scene of each video of {file}, got {got}")
        return np.array([known[path] for path in records.paths], np.int64)

    @property
    def names(self) -> list[str]:
        """The scene names of the CSV, or in classes.txt, empty without the file."""
        if Path(self.folder).is_file():
            return sorted(set(self._rows().values()))
        return read_names(Path(self.folder, CLASSES))

    def _of_csv(self, records: Records) -> np.ndarray:
        """Returns the scenes of these videos; raises UserError if the CSV lacks one."""
        rows = self._rows()
        numbers = {name: number for number, name in enumerate(sorted(set(rows.values())))}
        paths = [os.fsdecode(path) for path in records.paths]
        missing = [path for path in paths if path not in rows]
        if missing:
            got = f"none of {missing[0]!r} ({len(missing)} such)"
            raise UserError(f"{self.folder}: expected the scene of each of {len(paths)} videos, got {got}")
        return np.array([numbers[rows[path]] for path in paths], np.int64)

    def _rows(self) -> dict[str, str]:
        """Reads the scene of each path in the CSV; raises UserError for other columns, and a video with two scenes."""
        rows: dict[str, str] = {}
        with open(self.folder, newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            table = csv.DictReader(lines)
            if not {"path", "scene"} <= set(table.fieldnames or ()):
                got = ", ".join(table.fieldnames or ()) or "nothing"
                raise UserError(f"{self.folder}: expected a head with path and scene, got {got} (data.scenes)")
            for row in table:
                path, scene = row["path"], row["scene"]
                if not scene or rows.setdefault(path, scene) != scene:
                    got = f"{rows[path]} and {scene}" if scene else "none"
                    raise UserError(
                        f"{self.folder}:{table.line_num}: expected one scene for each video, got {got} for {path!r}"
                    )
        return rows


class LabeledByScene(VideoSource):
    """Another source's videos, with their scenes as classes."""

    def __init__(self, source: VideoSource, names: Sequence[str], splits: Sequence[str]):
        self.source = source
        self.name = source.name
        self.names = names
        self.splits = splits

    @property
    def num_classes(self) -> int:
        splits = [split for split in {*self.splits, "val"} if self.has(split)]  # also what is held out of train
        known = [split for split in splits if self.source.scenes(split) is not None]
        return len(self.names) or 1 + max(int(self.records(split).labels.max()) for split in known)

    @property
    def class_names(self) -> Sequence[str] | None:
        return self.names or None

    def prepare(self) -> None:
        self.source.prepare()

    def has(self, split: str) -> bool:
        return self.source.has(split)

    def records(self, split: str) -> Records:
        scenes = self.source.scenes(split)
        if scenes is None:
            raise UserError(f"data={self.name}: expected the scenes of {split}, got none")
        return replace(self.source.records(split), labels=scenes.numpy())

    def groups(self, split: str) -> Tensor | None:
        return self.source.groups(split)


def read_names(file: Path) -> list[str]:
    """Reads a file of one name per line, without empty ones; empty without the file."""
    lines = read_text(file, errors="replace").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip()]
