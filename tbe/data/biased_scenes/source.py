"""Biased Scenes: an embedded data set of generated videos whose backgrounds reveal the action in training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tbe.data.biased_scenes.clip_parameters import ACTIONS, Clip, draw_clip, read_clips
from tbe.data.biased_scenes.rendering import MAX_ACTORS, actor_mask, render, scene_name
from tbe.data.biased_scenes.writing import split_file, write_split, write_whole
from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import Records, read_list, write_list
from tbe.data.video_writer import write_video
from tbe.errors import MissingFile, UserError

# Part of the fingerprint: increased whenever the same parameters produce other pictures.
VERSION = 1
WRITTEN = ("train", "val", "iid", "swap", "balanced")
LABELS = ("action", "scene")


@dataclass(frozen=True)
class BiasedScenes(VideoSource):
    """An actor performs one of `num_actions` motions in front of one of `num_scenes` scenes.

    Action a owns scene `a % num_scenes`. In `train`, `val` and `iid` a clip has its action's own scene with
    probability `bias`, otherwise a uniformly drawn scene; in `balanced` always the latter. In `swap` it has a scene
    that another action owns, never its own. With fewer scenes than actions, some actions share theirs; with more, the
    scenes without an owner never occur in `swap`. `test` is an alias of `iid`.

    No single frame and no position in the picture reveals an action, only the motion does (see `motion`).
    The videos are in `<root>/<fingerprint>/`, and a clip depends on `seed`, its split and its index only, so adding
    clips leaves the first ones unchanged. `camera_motion` is the amplitude of the camera's drift in pixels,
    `scene_variety` from 0 to 1 how much framing and lighting of a scene vary, `actor_size` a factor, `quality`
    x264's crf (less is better), `label` the kind of label in `records`: "action" or "scene".
    """

    name = "biased_scenes"  # not a field: the same for all instances
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test", "iid", "swap", "balanced")

    root: str
    num_actions: int = 8
    num_scenes: int = 8
    num_actors: int = 4
    bias: float = 0.9
    num_train: int = 800
    num_val: int = 160
    num_test: int = 160
    num_frames: int = 32
    size: int = 64
    fps: float = 25
    camera_motion: float = 1.5
    scene_variety: float = 1.0
    actor_size: float = 1.0
    quality: int = 18
    seed: int = 0
    label: str = "action"

    def __post_init__(self) -> None:
        _check_parameters(self)

    @property
    def num_classes(self) -> int:
        return self.num_actions if self.label == "action" else self.num_scenes

    @property
    def class_names(self) -> list[str]:
        return self._names(self.label)

    @property
    def folder(self) -> Path:
        """The folder of the videos: named by the main parameters, and a hash of all that affect the pictures."""
        text = json.dumps(self._parameters(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return Path(self.root) / f"{self.num_actions}actions-{self.num_scenes}scenes-bias{self.bias:g}-{digest}"

    def prepare(self) -> None:
        """Writes the missing files. May be interrupted, repeated, and called by several processes at once."""
        num_clips = {"train": self.num_train, "val": self.num_val}
        for split in WRITTEN:
            if not split_file(self.folder, split).exists():
                clips = [self.draw(split, index) for index in range(num_clips.get(split, self.num_test))]
                write_split(self.folder, split, clips, self.num_frames, self._write_clip)
        parameters = self.folder / "parameters.json"
        if not parameters.exists():
            for label, file in (("action", "classes.txt"), ("scene", "scene_classes.txt")):
                names = [(name,) for name in self._names(label)]
                write_whole(self.folder / file, partial(write_list, rows=names))
            text = json.dumps(self._parameters(), indent=2) + "\n"
            write_whole(parameters, lambda part: part.write_text(text, encoding="utf-8"))

    def records(self, split: str) -> Records:
        """Returns the videos of a split with the chosen label; raises MissingFile before `prepare`."""
        return read_list(split_file(self.folder, self._written(split), self.label), self.folder)

    def scenes(self, split: str) -> Tensor:
        """Returns the scene of each video of a split, int64 (n,), whatever `label` is."""
        return torch.from_numpy(read_list(split_file(self.folder, self._written(split), "scene"), self.folder).labels)

    def has(self, split: str) -> bool:
        """Checks whether there is such a split."""
        return split in self.splits

    def clips(self, split: str) -> list[Clip]:
        """Returns the parameters of a split's clips, in the order of its records."""
        return read_clips(self.folder / f"{self._written(split)}.csv")

    def masks(self, split: str, indices: list[int]) -> np.ndarray:
        """Renders the actor's masks in these clips, bool (n, T, H, W): exact despite the video's compression."""
        clips = self.clips(split)
        return np.stack([actor_mask(clips[index], self.num_frames, self.size) for index in indices])

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray:
        """Returns the actor's masks in these frames of a clip, bool (n, H, W)."""
        return self.masks(split, [index])[0][frames]

    def labelings(self) -> dict[str, VideoSource]:
        """Returns the same videos labelled by action and by scene."""
        return {label: replace(self, label=label) for label in LABELS}

    def draw(self, split: str, index: int) -> Clip:
        """Draws the parameters of clip `index` of a split; actions take turns."""
        split = self._resolve(split)
        rng = np.random.default_rng((self.seed, WRITTEN.index(split), index))
        action = index % self.num_actions
        own = action % self.num_scenes
        # Draws all numbers in every split: another bias changes the scenes and nothing else.
        is_own, any_scene = rng.random() < self.bias, int(rng.integers(self.num_scenes))
        others = [scene for scene in range(min(self.num_actions, self.num_scenes)) if scene != own]
        other = others[int(rng.integers(len(others)))]
        scene = {"swap": other, "balanced": any_scene}.get(split, own if is_own else any_scene)
        return draw_clip(rng, action, scene, self.num_actors, self.camera_motion, self.scene_variety, self.actor_size)

    def _write_clip(self, path: Path, clip: Clip) -> None:
        frames = render(clip, self.num_frames, self.size, self.seed).frames
        # With its macroblock tree, x264's output differs from run to run, even on one thread.
        options = {"crf": str(self.quality), "preset": "veryfast", "x264-params": "mbtree=0"}
        write_video(path, frames, self.fps, options=options)

    def _written(self, split: str) -> str:
        split = self._resolve(split)
        file = split_file(self.folder, split)
        if not file.exists():
            raise MissingFile(f"{file}: expected the list that prepare() writes last, got no such file")
        return split

    def _resolve(self, split: str) -> str:
        if not self.has(split):
            raise UserError(f"{self.name}: expected a split out of {', '.join(self.splits)}, got {split!r}")
        return "iid" if split == "test" else split

    def _names(self, label: str) -> list[str]:
        if label == "action":
            return list(ACTIONS)[: self.num_actions]
        return [scene_name(scene) for scene in range(self.num_scenes)]

    def _parameters(self) -> dict[str, int | float]:
        parameters = {name: value for name, value in asdict(self).items() if name not in ("root", "label")}
        floats = {
            name: float(parameters[name]) for name in ("bias", "fps", "camera_motion", "scene_variety", "actor_size")
        }  # 1 and 1.0 are the same
        return {"version": VERSION, **parameters, **floats}


def _check_parameters(data: BiasedScenes) -> None:
    ranges: dict[str, tuple[float, float]] = {
        "num_actions": (2, len(ACTIONS)),
        "num_scenes": (2, 64),
        "num_actors": (1, MAX_ACTORS),
        "num_train": (1, 99_999),
        "num_val": (1, 99_999),
        "num_test": (1, 99_999),
        "num_frames": (1, 10_000),
        "size": (32, 1024),
        "quality": (0, 51),
        "seed": (0, 2**32 - 1),
    }
    for name, (low, high) in ranges.items():
        value = getattr(data, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UserError(f"{data.name}: expected {name} to be an integer from {low} to {high}, got {value!r}")
    for name, low, high in (
        ("bias", 0, 1),
        ("scene_variety", 0, 1),
        ("actor_size", 0.5, 2),
        ("fps", 1, 1000),
        ("camera_motion", 0, data.size / 4),
    ):
        value = getattr(data, name)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise UserError(f"{data.name}: expected {name} to be a number from {low} to {high}, got {value!r}")
    if data.size % 2 or data.size in (48, 72):
        raise UserError(
            f"{data.name}: expected an even size other than 48 and 72, which decord 0.6 reads as four channels "
            f"(a multiple of 16 is best), got {data.size}"
        )
    if data.label not in LABELS:
        raise UserError(f"{data.name}: expected label to be one of {', '.join(LABELS)}, got {data.label!r}")
