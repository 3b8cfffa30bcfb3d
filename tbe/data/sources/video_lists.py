"""The source of videos that list files name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.sources.base import VideoSource
from tbe.data.sources.list_hints import CLASSES
from tbe.data.sources.records import Records, check_labels, fence, hold_out, read_list
from tbe.data.sources.scene_lists import LabelledByScene, SceneLists, name_lines
from tbe.data.sources.unicode_forms import found_path
from tbe.errors import MissingFile, UserError

__all__ = ["VideoLists", "VideoSource"]

README_SECTION = "'Data sets'"
ROOT = "{root}"  # what stands for it in the names of other folders
LOOKED_AT = 5  # videos of each list, before a run begins

log = logging.getLogger(__name__)


class VideoLists(VideoSource):
    """Videos under `root`, named by one list file a split (`path label` or `path label num_frames`).

    lists: the folder of the list files, `root` where null. splits: split name -> file name, for example
    {train: train.txt, test: test.txt}, null for one that there is none of; '{split}' in a name stands for the number
    `split`. Without a val list, `val`
    is `val_share` of each class of the train list, and `train` the rest: models are chosen on it, never on the
    test list. variable: the environment variable that the config reads for `root`, named in the error when the
    videos are missing. masks: the folder of masks or boxes of the actors, as ActorMasks takes them with `mask_above`,
    for probes of robustness; what moves counts as the actor in videos that have none. scenes: a folder of lists of the
    same names, with the scenes of the videos in place of their labels, and of classes.txt, with names of the scenes.
    '{root}' in masks and scenes stands for `root`. num_classes: None for as many as classes.txt beside the lists names.
    allow_outside_root: whether lists may name files that are not below `root`, and links in it lead elsewhere.
    """

    def __init__(
        self,
        name: str,
        root: str | None,
        splits: dict[str, str | None],
        num_classes: int | None,
        lists: str | None = None,
        split: int | None = None,
        val_share: float = 0.1,
        variable: str | None = None,
        how_to_get_lists: str | None = None,
        masks: str | None = None,
        mask_above: int = 0,
        scenes: str | None = None,
        allow_outside_root: bool = False,
    ):
        if not 0 <= val_share < 1:
            raise UserError(f"data.val_share: expected 0 to less than 1, got {val_share}")
        self.name = name
        self.root = root or ""  # without a folder all is missed, as `prepare` says
        self.lists = lists or self.root
        self.splits = {part: file.format(split=split) for part, file in splits.items() if file is not None}
        self._num_classes = num_classes
        self.val_share = val_share
        self.variable = variable
        self.how_to_get_lists = how_to_get_lists
        self.allow_outside_root = allow_outside_root
        self.masks = ActorMasks(masks.replace(ROOT, self.root), mask_above) if masks else None
        self.scene_lists = SceneLists(scenes.replace(ROOT, self.root)) if scenes else None
        self._looked = False
        self._lists: dict[tuple, Records] = {}  # what was read, by all that it depends on
        self._masked: dict[str, Records] = {}  # the records of splits whose masks were asked for

    def prepare(self) -> None:
        """Refuses a data set whose folder, lists or videos aren't there, as a few show, saying how to name it."""
        if not self.root or not os.path.isdir(self.root):
            there = "a file" if os.path.isfile(self.root) else "no such folder"
            got = f"{there}: {self.root}" if self.root else "nothing"
            variable = f", or the environment variable {self.variable}" if self.variable else ""
            raise MissingFile(
                f"data={self.name}: expected the folder of its videos, got {got}. Set data.root=<folder>{variable}. "
                f"See the README, section {README_SECTION}."
            )
        if os.path.isfile(self.lists):
            raise MissingFile(f"data={self.name}: expected data.lists to be a folder, got a file: {self.lists}")
        for split, file in self.splits.items():
            if not os.path.isfile(Path(self.lists, file)):
                how = f" Make it with: {self.how_to_get_lists}" if self.how_to_get_lists else ""
                raise MissingFile(
                    f"data={self.name}: expected the list of its {split} videos at {Path(self.lists, file)}, "
                    f"got no such file. Set data.lists=<folder> and data.splits.{split}=<file>.{how} "
                    f"See the README, section {README_SECTION}."
                )
        if not self._looked:
            self._look_at_videos()
            if self.masks:
                self._check_masks(self.masks)
            self._looked = True

    def has(self, split: str) -> bool:
        """Whether there is a list of this split, or for `val` a class of the train list to hold some of out."""
        return split in self.splits or (split == "val" and "train" in self.splits and bool(self._held_out().any()))

    def records(self, split: str) -> Records:
        if not self.has(split):
            is_empty = split == "val" and self.val_share and "train" in self.splits
            hint = ": no class of the train list has two videos, of which one could be held out" if is_empty else ""
            raise UserError(f"data={self.name}: expected a split among {', '.join(self.splits)}, got {split!r}{hint}")
        if split in self.splits and (split != "train" or "val" in self.splits or not self.val_share):
            return self._read(split)
        held = self._held_out()
        return self._read("train").select(np.flatnonzero(held if split == "val" else ~held))

    @property
    def class_names(self) -> list[str] | None:
        """Those of classes.txt beside the lists; None without the file, or where it is of another number of classes."""
        names = name_lines(Path(self.lists, CLASSES))
        return names if len(names) == self.num_classes else None

    @property
    def num_classes(self) -> int:
        """As given, or as many as classes.txt names; FileNotFoundError without it."""
        if self._num_classes is not None:
            return self._num_classes
        names = name_lines(Path(self.lists, CLASSES))
        if not names:
            raise MissingFile(f"{Path(self.lists, CLASSES)}: expected the names of the classes, got none")
        return len(names)

    def scenes(self, split: str) -> Tensor | None:
        """The scene of each video of a split, int64 (n,), None without lists of them."""
        if not self.scene_lists:
            return None
        file = self.splits.get(split) or self.splits["train"]  # of which val may be a part
        return torch.from_numpy(self.scene_lists.of(self.records(split), file))

    def labellings(self) -> dict[str, VideoSource]:
        """The same videos labelled by class and, where they are known, by scene."""
        if not self.scene_lists:
            return {"class": self}
        return {"class": self, "scene": LabelledByScene(self, self.scene_lists.names, list(self.splits))}

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        """Where the actor is in these frames of a video: bool (n, H, W), None where it has neither masks nor boxes."""
        if not self.masks:
            return None
        if split not in self._masked:
            self._masked[split] = self.records(split)
        records = self._masked[split]
        return self.masks(os.fsdecode(records.paths[index]), records.path_to_open(index), frames)

    def _look_at_videos(self) -> None:
        """Looks whether a few videos of each list are there; FileNotFoundError when none of any list is."""
        missing: dict[str, str] = {}
        num_read = 0
        for split in self.splits:
            try:
                records = self._read(split)
            except UserError:  # said when the split is asked for, which may be never
                continue
            num_read += 1
            few = np.linspace(0, len(records) - 1, min(LOOKED_AT, len(records))).round().astype(int)
            if not any(os.path.exists(found_path(records.path(index))) for index in few):
                missing[split] = f"{len(few)} of {split}, such as {records.path(few[0])}"
        told = f"data={self.name}: expected the videos of its lists, found none of those looked at: "
        advice = "Set data.root=<folder>, to which the paths of the lists are relative"
        if missing and len(missing) == num_read:
            raise MissingFile(f"{told}{'; '.join(missing.values())}. {advice}")
        for found in missing.values():
            log.warning("%s%s. %s", told, found, advice)

    def _check_masks(self, masks: ActorMasks) -> None:
        """Says how many videos of each list but train's have masks; FileNotFoundError when none has."""
        any_known = False
        for split in [split for split in self.splits if split != "train"] or self.splits:
            paths = [os.fsdecode(path) for path in self._read(split).paths]
            num_known = sum(map(masks.has, paths))
            any_known |= num_known > 0
            log.info("data.masks: %d of the %d videos of %s have masks or boxes", num_known, len(paths), split)
            if num_boxes := sum(map(masks.is_boxes, paths)):
                log.warning(
                    "data.masks: %d of the %d videos of %s have boxes, no masks: what is around the actor in a box "
                    "goes along in front of another background, and tells its own; masks tell more",
                    num_boxes,
                    len(paths),
                    split,
                )
        if not any_known:
            place = masks.place(paths[0])
            raise MissingFile(
                f"data={self.name}: expected masks or boxes of its videos below data.masks={masks.folder}, such as "
                f"{place}/000001.png or {place}.csv, found none"
            )

    def _held_out(self) -> np.ndarray:
        """Which videos of the train list are held out where there is no val list, bool (n,)."""
        labels = self._read("train").labels
        return hold_out(labels, self.val_share) if self.val_share else np.zeros(len(labels), bool)

    def _read(self, split: str) -> Records:
        """All videos of a list, which is read once as long as nothing changes."""
        file = Path(self.lists, self.splits[split])
        state = file.stat()
        key = (file, state.st_mtime_ns, state.st_size, self.root, self.num_classes, self.allow_outside_root)
        if key not in self._lists:
            records = read_list(file, self.root)
            check_labels(records, self.num_classes, f"{file} (data={self.name}, data.num_classes={self.num_classes})")
            self._lists[key] = records if self.allow_outside_root else fence(records, f"{file} (data={self.name})")
        return self._lists[key]
