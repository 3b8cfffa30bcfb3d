"""Audits models on given videos, without a command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
from torch import nn

from tbe.api.build import build
from tbe.api.embed import check_says_itself
from tbe.auditing import models
from tbe.auditing.task import FOLDER, Audit
from tbe.backbones.preprocessing import Preprocessing
from tbe.data.clip_samplers import UniformClips
from tbe.data.datamodule import VideoDataModule
from tbe.data.readers import OpenVideo
from tbe.data.sources.actor_masks import ActorMasks
from tbe.data.sources.base import VideoSource
from tbe.data.sources.mask_counts import check_masks
from tbe.data.sources.records import UNLABELED, Records, hold_out, hold_out_groups, make_records
from tbe.encoders import Encoder, load_encoder
from tbe.errors import UserError
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe

PathLike = str | os.PathLike
Model = str | nn.Module
HELD_OUT = 0.5  # of each class, to audit on where no videos to train on are given


class Card(NamedTuple):
    """The file of a card, and the metrics of each model, by its name."""

    file: Path
    metrics: dict[str, dict[str, float]]


def audit(
    model: Model | Mapping[str, Model],
    videos: Sequence[PathLike],
    labels: Sequence[int] | Sequence[str],
    *,
    train_videos: Sequence[PathLike] | None = None,
    train_labels: Sequence[int] | Sequence[str] | None = None,
    groups: Sequence[int] | Sequence[str] | None = None,
    masks: PathLike | None = None,
    mask_above: int = 0,
    out: PathLike = FOLDER,
    preprocessing: Preprocessing | None = None,
    num_clips: int = 4,
    batch_size: int = 8,
    reader: str | OpenVideo = "auto",
    num_workers: int = 0,
    accelerator: str = "auto",
    draws: int = 2000,
    min_videos: int = 10,
    pictures: int = 3,
    leaderboard: PathLike | None = None,
    data_name: str = "videos",
    seed: int = 0,
) -> Card:
    """Measures how much models depend on the background of videos; writes `audit.html` and `audit.md` below `out`.

    model: a name that `tbe.encoders.load_encoder` knows, an encoder, or a network from normalized clips
    (B, C, T, H, W) to (B, F) with its `preprocessing` (as from `tbe.load`) or with `preprocessing` given here; several
    by name stand side by side. videos: files, with a label each. A linear classifier is trained on `train_videos`;
    without them on a half of the videos of each class, and the other half is asked about; with `groups`, the recording
    or person of each video, whole groups are, so that none is on both sides. masks: a folder of masks of the actors, as
    `data.masks` takes it, named like the videos below the folder that holds them all, or by their folder and name; None
    to take what moves for the actor. The other arguments are those of eval.py and of `task=audit`. Raises UserError for
    a model or videos that cannot be audited.
    """
    named = dict(model) if isinstance(model, Mapping) else {_name(model): model}
    if not named or not all(isinstance(one, str | nn.Module) for one in named.values()):
        kinds = ", ".join(type(one).__name__ for one in named.values()) or "none"
        raise UserError(f"tbe.audit: expected networks (torch.nn.Module), encoders or names of encoders, got {kinds}")
    if train_labels is not None and train_videos is None:
        raise UserError("tbe.audit: expected train_videos= beside train_labels=, got none")
    if mask_above and masks is None:
        raise UserError("tbe.audit: expected masks= beside mask_above=, got none")
    if groups is not None and train_videos is not None:
        raise UserError("tbe.audit: expected no groups= beside train_videos=, which say themselves what is trained on")
    source = _source(data_name, videos, labels, train_videos, train_labels, masks, mask_above, seed, groups)
    source.prepare()
    opened = build("reader", reader) if isinstance(reader, str) else reader
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    task = Audit(
        LinearProbe(),
        draws=draws,
        min_videos=min_videos,
        pictures=pictures,
        seed=seed,
        leaderboard=None if leaderboard is None else os.fspath(leaderboard),
        command="tbe.audit",
    )
    metrics = {}
    for name, one in named.items():
        network, made = _network(one, preprocessing)
        take = UniformClips(made.num_frames, made.stride, made.short, num_clips=num_clips)
        views = nn.Identity()  # until the clips of the network are made
        data = VideoDataModule(source, opened, take, views, batch_size, num_workers=num_workers, seed=seed)
        models.make_clips_for(made, data, num_clips)
        origin: Any = models.origin_of(network.encoder) if isinstance(network, models.NormalizedEncoder) else str(name)
        trainer = _trainer(folder, accelerator)
        evaluation = Evaluation(name, network, None, data, trainer, "train", ["test"], folder, origin=origin)
        metrics[name] = task.run(evaluation)
    task.compare(metrics, folder)
    return Card(folder / f"{FOLDER}.html", metrics)


class GivenVideos(VideoSource):
    """Videos to train on and to ask about, named by their paths."""

    def __init__(
        self, name: str, records: Mapping[str, Records], classes: Sequence[str], masks: ActorMasks | None, root: str
    ):
        self.name = name
        self.root = root
        self.num_classes = len(classes)
        self.masks = masks
        self._records = records
        self._classes = classes

    def prepare(self) -> None:
        """Raises UserError for masks that don't fit the videos, and warns of soft ones."""
        if self.masks is not None:
            asked = self._records["test"]
            check_masks(self.masks, asked, [self._named(asked.path(index)) for index in range(len(asked))], "test")

    def has(self, split: str) -> bool:
        return split in self._records

    def records(self, split: str) -> Records:
        return self._records[split]

    @property
    def class_names(self) -> Sequence[str]:
        return self._classes

    def foreground(self, split: str, index: int, frames: list[int]) -> np.ndarray | None:
        if self.masks is None:
            return None
        path = self._records[split].path(index)
        return self.masks(self._named(path), path, frames)

    def _named(self, path: str) -> str:
        """Returns what a video's masks are named by: its path below the common folder, or else the whole path."""
        below = os.path.relpath(path, self.root)
        return below if self.masks and self.masks.has(below) else path


def _source(
    name: str,
    videos: Sequence[PathLike],
    labels: Sequence[int] | Sequence[str],
    train_videos: Sequence[PathLike] | None,
    train_labels: Sequence[int] | Sequence[str] | None,
    masks: PathLike | None,
    mask_above: int,
    seed: int,
    groups: Sequence[Any] | None = None,
) -> GivenVideos:
    """Returns the videos as a source; labels of any kind become numbers in their sorted order."""
    pairs = {"test": (videos, _plain(labels))}
    if train_videos is not None:
        pairs["train"] = (train_videos, _plain(train_labels) if train_labels is not None else ())
    for part, (paths, given) in pairs.items():
        is_one = isinstance(paths, str | os.PathLike)
        if is_one or not len(paths) or len(paths) != len(given):
            count = "a single path" if is_one else len(paths)
            raise UserError(f"tbe.audit: expected videos with a label each ({part}), got {count} and {len(given)}")
    known: set[Any] = {label for _, given in pairs.values() for label in given}
    if UNLABELED in known:
        raise UserError(
            f"tbe.audit: expected a label of each video, got {UNLABELED}, which stands for none: leave them out"
        )
    if len({isinstance(label, str) for label in known}) > 1:
        raise UserError("tbe.audit: expected labels that are all numbers or all names, got both")
    if unseen := sorted(set(pairs["test"][1]) - set(pairs.get("train", pairs["test"])[1])):
        raise UserError(
            f"tbe.audit: expected labels that train_labels have, too, got {', '.join(map(repr, unseen[:5]))} in labels "
            "alone: no classifier could answer with them"
        )
    classes = sorted(known)
    records = {
        part: make_records(
            "", [os.path.abspath(path) for path in paths], list(map(classes.index, given)), [0] * len(paths)
        )
        for part, (paths, given) in pairs.items()
    }
    if train_videos is None:
        of_class = records["test"].labels
        asked = hold_out(of_class, HELD_OUT, seed) if groups is None else _of_groups(groups, of_class, seed)
        rows = {"train": ~asked, "test": asked}
        records = {part: records["test"].select(np.flatnonzero(of_part)) for part, of_part in rows.items()}
    of_actors = None if masks is None else ActorMasks(os.fspath(masks), mask_above)
    folders = [os.path.dirname(os.path.abspath(path)) for paths, _ in pairs.values() for path in paths]
    return GivenVideos(name, records, [str(label) for label in classes], of_actors, os.path.commonpath(folders))


def _of_groups(groups: Sequence[Any], labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns which videos to ask about, bool (n,): whole groups; raises UserError where none could be held out."""
    groups = _plain(groups)
    if len(groups) != len(labels):
        raise UserError(f"tbe.audit: expected a group of each of {len(labels)} videos, got {len(groups)}")
    numbers = {group: number for number, group in enumerate(sorted(set(groups), key=str))}
    asked = hold_out_groups(np.array([numbers[group] for group in groups]), labels, HELD_OUT, seed)
    if not asked.any():
        raise UserError(
            "tbe.audit: expected groups of which some can be held out, each class in two at least, got "
            f"{len(numbers)}: give more videos, or train_videos"
        )
    return asked


def _plain(labels: Any) -> Sequence[Any]:
    """Returns labels as a list, those of tensors or arrays as numbers."""
    found = labels.tolist() if hasattr(labels, "tolist") else labels
    return [label.item() if hasattr(label, "item") else label for label in found]


def _network(model: Model, preprocessing: Preprocessing | None) -> tuple[Any, Preprocessing]:
    """Returns a network of normalized clips and how they are made; raises UserError where nothing says that."""
    model = load_encoder(model) if isinstance(model, str) else model
    check_says_itself("tbe.audit", model, preprocessing)
    if isinstance(model, Encoder):
        return models.NormalizedEncoder(model), models.preprocessing_of(model)
    made = preprocessing or getattr(model, "preprocessing", None)
    if made is None:
        raise UserError(
            f"tbe.audit: expected a network with a `preprocessing`, as tbe.load attaches it, got {_name(model)} "
            "without. Pass preprocessing=tbe.Preprocessing(...)"
        )
    return model, made


def _name(model: Model) -> str:
    if isinstance(model, Encoder):
        model = model.name
    return models.names_of([model])[0] if isinstance(model, str) else type(model).__name__


def _trainer(folder: Path, accelerator: str) -> pl.Trainer:
    """Returns a trainer that only runs a network over a loader, on one device, and says nothing."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    quiet: Any = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(accelerator=accelerator, devices=1, logger=False, default_root_dir=folder, **quiet)
