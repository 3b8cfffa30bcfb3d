"""A source of videos that are named in list files."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.sources.base import VideoSource
from tbe.data.sources.groups import groups_of
from tbe.data.sources.list_hints import CLASSES
from tbe.data.sources.mask_counts import check_masks
from tbe.data.sources.records import Records, check_labels, fence, hold_out, hold_out_groups, read_list
from tbe.data.sources.scene_lists import LabeledByScene, SceneLists, read_names
from tbe.data.sources.text_columns import Names
from tbe.data.sources.video_root import VideoRoot, at_hand, on_disk
from tbe.data.storage.bucket import BucketSettings, CacheSettings
from tbe.errors import MissingFile, UserError

__all__ = ["VideoLists", "VideoSource"]

GUIDE = "docs/guides/your-own-data.md, 'Public data sets'"
ROOT = "{root}"  # stands for `root` in the names of other folders
NUM_PROBED = 5  # videos of each list that are looked for before a run starts

log = logging.getLogger(__name__)


class VideoLists(VideoSource):
    """Videos below `root`, named by one list file per split, as `read_list` reads it: text, CSV or Parquet.

    lists: the folder of the list files, `root` if null. splits: split name -> file name, for example
    {train: train.txt, test: test.txt}, null for a missing one; '{split}' in a file name stands for the number `split`.
    num_classes: None for the number of names in classes.txt beside the lists. Without a val list, `val` is `val_share`
    of each class of the train list, or whole groups where these are known, and `train` the rest: models are selected on
    it, never on the test list. variable: the environment variable that the config reads for `root`, named in the error
    when the videos are missing.
    masks: the folder of actor masks or boxes, as ActorMasks reads them with `mask_above`, for the robustness probes; in
    videos without any, whatever moves counts as the actor. scenes: a folder of lists of the same names with scenes in
    place of labels, and of a classes.txt with scene names, or a CSV of `path` and `scene`; null for the column `scene`
    of the lists, if they have one. '{root}' in masks and scenes stands for `root`.
    groups: of videos that belong together (same persons, same recording), as `groups_of` reads them: a regular
    expression on the path with one group, or a file of lines '<path> <group>'; null for the column `group` of the
    lists, if they have one.
    allow_outside_root: whether lists may name files outside `root`, and links may lead out of it.
    root, lists, and files of scenes and groups may be addresses, such as s3://bucket/folder: bucket: `BucketSettings`
    for them; cache: `CacheSettings`, where what is read from there is kept. root may be a folder of shards, too.
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
        groups: str | None = None,
        allow_outside_root: bool = False,
        bucket: Mapping[str, Any] | None = None,
        cache: Mapping[str, Any] | None = None,
    ):
        if not 0 <= val_share < 1:
            raise UserError(f"data.val_share: expected 0 to less than 1, got {val_share}")
        self.name = name
        self.root = os.fspath(root or "")  # without a folder `prepare` raises
        self.lists = os.fspath(lists or self.root)
        self.splits = {part: file.format(split=split) for part, file in splits.items() if file is not None}
        self._num_classes = num_classes
        self.val_share = val_share
        self.variable = variable
        self.how_to_get_lists = how_to_get_lists
        self.allow_outside_root = allow_outside_root
        self.scenes_file = scenes.replace(ROOT, self.root) if scenes else None
        self.group = groups.replace(ROOT, self.root) if groups else None
        self.remote = BucketSettings(**(bucket or {})), CacheSettings(**(cache or {}))
        self.place, self.list_place = VideoRoot(self.root, *self.remote), VideoRoot(self.lists, *self.remote)
        self.masks = ActorMasks(on_disk(masks.replace(ROOT, self.root)), mask_above) if masks else None
        self._is_checked = False
        self._lists: dict[tuple, Records] = {}  # cached, by everything that they depend on
        self._held: tuple[Records, tuple, np.ndarray] | None = None  # the train list, settings, and what they hold out
        self._masked: dict[str, Records] = {}  # records of the splits whose masks were requested

    def prepare(self) -> None:
        """Raises MissingFile, saying what to set, if the folder, the lists, or a sample of the videos is missing."""
        if not self.place.is_remote and not os.path.isdir(self.root):
            there = "a file" if os.path.isfile(self.root) else "no such folder"
            got = f"{there}: {self.root}" if self.root else "nothing"
            variable = f", or the environment variable {self.variable}" if self.variable else ""
            raise MissingFile(
                f"data={self.name}: expected the folder of its videos, got {got}. Set data.root=<folder>{variable}. "
                f"See {GUIDE}."
            )
        if os.path.isfile(self.lists):
            raise MissingFile(f"data={self.name}: expected data.lists to be a folder, got a file: {self.lists}")
        for split, file in self.splits.items():
            if not self.list_place.file(file).is_file():
                how = f" Make it with: {self.how_to_get_lists}" if self.how_to_get_lists else ""
                raise MissingFile(
                    f"data={self.name}: expected the list of its {split} videos at {self.list_place.named(file)}, "
                    f"got no such file. Set data.lists=<folder> and data.splits.{split}=<file>.{how} "
                    f"See {GUIDE}."
                )
        if not self._is_checked:
            self._check_classes()
            self._check_videos()
            if self.masks:
                self._check_masks(self.masks)
            self._is_checked = True

    def has(self, split: str) -> bool:
        """Checks whether this split has a list or, for `val`, whether the train list has videos to hold out."""
        return split in self.splits or (split == "val" and "train" in self.splits and bool(self._held_out().any()))

    def records(self, split: str) -> Records:
        if not self.has(split):
            is_empty = split == "val" and self.val_share and "train" in self.splits
            nothing = ": no class of the train list has two videos, or groups, of which one could be held out"
            hint = nothing if is_empty else ""
            raise UserError(f"data={self.name}: expected a split among {', '.join(self.splits)}, got {split!r}{hint}")
        if split in self.splits and (split != "train" or "val" in self.splits or not self.val_share):
            return self._read(split)
        held = self._held_out()
        return self._read("train").select(np.flatnonzero(held if split == "val" else ~held))

    @property
    def class_names(self) -> list[str] | None:
        """The names in classes.txt beside the lists; None without it, or if it has another number of classes."""
        names = read_names(self.list_place.file(CLASSES))
        return names if len(names) == self.num_classes else None

    @property
    def num_classes(self) -> int:
        """The given number, or that of the names in classes.txt; raises MissingFile without it."""
        if self._num_classes is not None:
            return self._num_classes
        names = read_names(self.list_place.file(CLASSES))
        if not names:
            raise MissingFile(
                f"{self.list_place.named(CLASSES)}: expected the names of the classes, got none. Set "
                "data.num_classes=<number>, 1 for videos without classes"
            )
        return len(names)

    @cached_property
    def scene_lists(self) -> SceneLists | None:
        """The scenes beside the lists, None without any."""
        return SceneLists(at_hand(self.scenes_file, "data.scenes", *self.remote)) if self.scenes_file else None

    def scenes(self, split: str) -> Tensor | None:
        """Returns the scene of each video of a split, int64 (n,), None without scene lists or a column of scenes.

        A list that lies elsewhere, as those of further splits do, has that of its name, if there is one.
        """
        if not self.scene_lists:
            return self._scenes_of_column(split)
        file = self.splits.get(split) or self.splits["train"]  # of which val may be a part
        if os.path.isabs(file):  # joined to the folder of the scenes it would be the list of the videos itself
            file = os.path.basename(file)
            if not self.scene_lists.has(file):
                return None
        return torch.from_numpy(self.scene_lists.of(self.records(split), file))

    def groups(self, split: str) -> Tensor | None:
        """Returns the group of each video of a split, int64 (n,), None if unknown."""
        records = self.records(split)
        if not self.group and records.groups:
            return torch.from_numpy(self._numbers(records.groups, split, "group"))
        found = self._groups_of(records)
        return None if found is None else torch.from_numpy(found)

    def labelings(self) -> dict[str, VideoSource]:
        """Returns the same videos labelled by class and, if known, by scene."""
        names = self.scene_lists.names if self.scene_lists else self._names_of_columns()
        if not self.scene_lists and not names:
            return {"class": self}
        return {"class": self, "scene": LabeledByScene(self, names, list(self.splits))}

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        """Returns the actor's masks in these frames of a video, bool (n, H, W), None if it has no masks or boxes."""
        if not self.masks:
            return None
        if split not in self._masked:
            self._masked[split] = self.records(split)
        records = self._masked[split]
        path = os.fsdecode(records.paths[index])
        is_opened = records.store is None or self.masks.is_boxes(path)  # boxes need the size of the pictures
        return self.masks(path, records.to_open(index) if is_opened else records.path(index), frames)

    def foreground_version(self, split: str) -> list | None:
        if not self.masks:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for path in self.records(split).paths:
            digest.update(repr(self.masks.version(os.fsdecode(path))).encode())
        return [digest.hexdigest()]

    def _scenes_of_column(self, split: str) -> Tensor | None:
        """Returns the scenes in the column of a split's list, numbered as sorted over all lists."""
        column = self.records(split).scenes
        if column is None:
            return None
        all_names = {name: number for number, name in enumerate(self._names_of_columns())}
        numbers = np.array([all_names[os.fsdecode(name)] for name in column.known], np.int64)
        return torch.from_numpy(numbers[self._numbers(column, split, "scene")])

    def _names_of_columns(self) -> list[str]:
        """Returns the names of the scenes in the columns of all lists, sorted; empty without such a column."""
        columns = [self._read(split).scenes for split in self.splits]
        return sorted({os.fsdecode(name) for column in columns if column for name in column.known})

    def _numbers(self, names: Names, split: str, what: str) -> np.ndarray:
        """Returns the names of all videos as numbers, int64 (n,); raises UserError where one is unknown."""
        unknown = np.flatnonzero(names.numbers < 0)
        if len(unknown):
            path = os.fsdecode(self.records(split).paths[int(unknown[0])])
            raise UserError(
                f"data={self.name}: expected the {what} of each video of {split} in the column {what} of its list, "
                f"got none of {path!r} ({len(unknown)} such)"
            )
        return names.numbers.astype(np.int64)

    def _check_classes(self) -> None:
        """Raises UserError for a list of another folder whose classes.txt numbers the classes otherwise."""
        own = read_names(self.list_place.file(CLASSES))
        for split, file in self.splits.items():
            beside = self.list_place.file(file).with_name(CLASSES)
            for label, (name, other) in enumerate(zip(own, read_names(beside), strict=False)):
                if name != other:
                    raise UserError(
                        f"data={self.name}: expected lists with the same labels, got {label} for {name!r} in "
                        f"{self.list_place.named(CLASSES)} and for {other!r} in {beside}, beside the list of {split}. "
                        "Number its classes like the others"
                    )

    def _check_videos(self) -> None:
        """Looks for a few videos of each list; warns of lists with none, raises MissingFile if all have none."""
        missing: dict[str, str] = {}
        num_read = 0
        for split in self.splits:
            try:
                records = self._read(split)
            except UserError:  # raised when the split is used, which may be never
                continue
            num_read += 1
            few = np.linspace(0, len(records) - 1, min(NUM_PROBED, len(records))).round().astype(int)
            if not any(self.place.has(records, index) for index in few):
                missing[split] = f"{len(few)} of {split}, such as {records.path(few[0])}"
        problem = f"data={self.name}: expected the videos of its lists, found none of those looked for: "
        advice = "Set data.root=<folder>, to which the paths of the lists are relative"
        if missing and len(missing) == num_read:
            raise MissingFile(f"{problem}{'; '.join(missing.values())}. {advice}")
        for sample in missing.values():
            log.warning("%s%s. %s", problem, sample, advice)

    def _check_masks(self, masks: ActorMasks) -> None:
        """Logs how many videos of each list except train's have masks; raises MissingFile if none has."""
        any_known = False
        for split in [split for split in self.splits if split != "train"] or self.splits:
            records = self._read(split)
            paths = [os.fsdecode(path) for path in records.paths]
            any_known |= check_masks(masks, records, paths, split)
        if not any_known:
            place = masks.place(paths[0])
            raise MissingFile(
                f"data={self.name}: expected masks or boxes of its videos below data.masks={masks.folder}, such as "
                f"{place}/000001.png or {place}.csv, found none"
            )

    def _held_out(self) -> np.ndarray:
        """Returns which videos of the train list are held out if there is no val list, bool (n,)."""
        records, settings = self._read("train"), (self.val_share, self.group)
        if not self.val_share:
            return np.zeros(len(records), bool)
        if self._held is None or self._held[0] is not records or self._held[1] != settings:
            groups = self._groups_of(records)
            if groups is None:
                _, of_paths, counts = np.unique(records.paths.digests(), return_inverse=True, return_counts=True)
                groups = of_paths if counts.max(initial=0) > 1 else None  # a video that is listed twice is on one side
            if groups is None:
                held = hold_out(records.labels, self.val_share)
            else:
                held = hold_out_groups(groups, records.labels, self.val_share)
            self._held = records, settings, held
        return self._held[2]

    def _groups_of(self, records: Records) -> np.ndarray | None:
        """Returns the group of each of these videos, int64 (n,), -1 where a list has none; None if unknown."""
        if not self.group:
            return records.groups and records.groups.numbers.astype(np.int64)
        paths = [os.fsdecode(path) for path in records.paths]
        found = groups_of(paths, at_hand(self.group, "data.groups", *self.remote), "data.groups")
        return np.unique([found[path] for path in paths], return_inverse=True)[1]

    def _read(self, split: str) -> Records:
        """Returns all videos of a list, cached until the file or a setting changes."""
        file = self.list_place.file(self.splits[split])
        state = file.stat()
        key = (file, state.st_mtime_ns, state.st_size, self.root, self.num_classes, self.allow_outside_root)
        if key not in self._lists:
            records = read_list(file, self.root)
            check_labels(records, self.num_classes, f"{file} (data={self.name}, data.num_classes={self.num_classes})")
            fenced = records if self.allow_outside_root else fence(records, f"{file} (data={self.name})")
            self._lists[key] = self.place.located(fenced)
        return self._lists[key]
