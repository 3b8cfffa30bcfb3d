"""Sources of videos: what a data set is to the rest of the code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from tbe.data.records import Records, check_labels, hold_out, read_list

README_SECTION = "'Data sets'"


class VideoSource(Protocol):
    """A data set: named splits of records."""

    name: str
    num_classes: int

    def prepare(self) -> None:
        """Makes or checks the files; called once a machine before `records`."""

    def records(self, split: str) -> Records:
        """The videos of a split; a ValueError names the known splits, an unknown one among them has no videos."""

    def has(self, split: str) -> bool:
        """Whether there is such a split."""


class VideoLists:
    """Videos under `root`, named by one list file a split (`path label` or `path label num_frames`).

    lists: the folder of the list files, `root` where null. splits: split name -> file name, for example
    {train: train.txt, test: test.txt}; '{split}' in a name stands for the number `split`. Without a val list, `val`
    is `val_share` of each class of the train list, and `train` the rest: models are chosen on it, never on the
    test list. variable: the environment variable that the config reads for `root`, named in the error when the
    videos are missing.
    """

    def __init__(
        self,
        name: str,
        root: str | None,
        splits: dict[str, str],
        num_classes: int,
        lists: str | None = None,
        split: int | None = None,
        val_share: float = 0.1,
        variable: str | None = None,
        how_to_get_lists: str | None = None,
    ):
        if not 0 <= val_share < 1:
            raise ValueError(f"data.val_share: expected 0 to less than 1, got {val_share}")
        self.name = name
        self.root = root
        self.lists = lists or root
        self.splits = {part: file.format(split=split) for part, file in splits.items()}
        self.num_classes = num_classes
        self.val_share = val_share
        self.variable = variable
        self.how_to_get_lists = how_to_get_lists

    def prepare(self) -> None:
        """Refuses a data set that isn't there, saying how to name it."""
        if not self.root or not os.path.isdir(self.root):
            got = f"no such folder: {self.root}" if self.root else "nothing"
            variable = f", or the environment variable {self.variable}" if self.variable else ""
            raise FileNotFoundError(
                f"data={self.name}: expected the folder of its videos, got {got}. Set data.root=<folder>{variable}. "
                f"See the README, section {README_SECTION}."
            )
        for split, file in self.splits.items():
            if not os.path.isfile(Path(self.lists, file)):
                how = f" Make it with: {self.how_to_get_lists}" if self.how_to_get_lists else ""
                raise FileNotFoundError(
                    f"data={self.name}: expected the list of its {split} videos at {Path(self.lists, file)}, "
                    f"got no such file. Set data.lists=<folder> and data.splits.{split}=<file>.{how} "
                    f"See the README, section {README_SECTION}."
                )

    def has(self, split: str) -> bool:
        return split in self.splits or (split == "val" and self.val_share > 0 and "train" in self.splits)

    def records(self, split: str) -> Records:
        if not self.has(split):
            raise ValueError(f"data={self.name}: expected a split among {', '.join(self.splits)}, got {split!r}")
        if split in self.splits and (split != "train" or "val" in self.splits or not self.val_share):
            return self._read(split)
        everything = self._read("train")
        held = hold_out(everything.labels, self.val_share)
        return everything.select(np.flatnonzero(held if split == "val" else ~held))

    def _read(self, split: str) -> Records:
        file = Path(self.lists, self.splits[split])
        records = read_list(file, self.root)
        check_labels(records, self.num_classes, f"{file} (data={self.name}, data.num_classes={self.num_classes})")
        return records
