"""The preview command: loads the first batch of a training config and draws it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from tbe import runs
from tbe.config import build, plain
from tbe.data.sources.base import VideoSource
from tbe.data.sources.class_names import class_names, display_path
from tbe.data.sources.records import UNLABELED, Records
from tbe.launch.settings import check_settings
from tbe.launch.stages import Stage, write_stage
from tbe.preview.blending import find_blend, still_weights
from tbe.preview.drawing import draw_views, format_blend
from tbe.preview.first_batch import FirstBatch, first_batch
from tbe.viz.class_counts import draw_counts

SPLITS = ("train", "val", "test")


def prepare(config: DictConfig, overrides: list[str]) -> list[Stage]:
    """Checks and writes the resolved config, and returns its file."""
    check_settings(config)
    return [write_stage(plain(config))]


def run(stages: list[Stage]) -> None:
    """Draws `views` of the first batch and `classes.png` of the lists.

    Writes the mean weight of the pictures blended into the batch, if they are still, to metrics.json.
    """
    ((config, folder, _),) = stages
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    datamodule = build(config["datamodule"])
    pretrains = config["stage"] == "pretrain"
    erase, views = None, ()
    if pretrains:
        with torch.device("meta"):  # without memory for the network
            module = build(config["module"])
        datamodule = datamodule.for_views(module.method.views)
        erase, views = build(config["be"]), module.distractor_views
    seen = first_batch(datamodule, config["trainer"]["accelerator"], erase, views)
    shown = min(config["videos"], len(seen.batch["index"]))
    augment = datamodule.train_views.augment
    drawn = {name: clips[:shown] for name, clips in views_of(seen, config).items()}
    titles = _titles(seen, datamodule.source, shown)
    draw_views(folder / "views", drawn, (augment.mean, augment.std), titles, config["fps"])
    draw_classes(datamodule.source, folder / "classes.png")
    weights = {view: still_weights(seen.batch[view], clips).nanmean() for view, clips in seen.distracted.items()}
    metrics = {f"preview/{view}_weight": weight.item() for view, weight in weights.items() if not weight.isnan()}
    runs.write_json(folder / "metrics.json", {"preview/videos": shown, **metrics})
    print(f"run: {folder}")


def views_of(seen: FirstBatch, config: dict[str, Any]) -> dict[str, Tensor]:
    """Returns the views of a batch by display name: clips (B, C, T, S, S)."""
    if "clips" in seen.batch:
        clips = seen.batch["clips"].unbind(dim=1)
        return {"clip" if len(clips) == 1 else f"clip {number + 1}": clip for number, clip in enumerate(clips)}
    negative = config["method"].get("negative")
    views = {}
    for name in ("query", "key", "negative"):
        if name not in seen.batch:
            continue
        # As in the method: the negative is that of the previous video in the batch.
        rolled = name == "negative" and negative == "other_video"
        views[f"{name} of another video" if rolled else name] = seen.batch[name].roll(int(rolled), dims=0)
        if name in seen.distracted:
            views[f"distracted {name}"] = seen.distracted[name]
    return views


def draw_classes(source: VideoSource, file: Path) -> None:
    """Draws the number of videos of each class in each split."""
    records = {split: source.records(split) for split in SPLITS if source.has(split)}
    names = class_names(source, next(iter(records.values())))
    counts = {split: _counts(of_split, len(names)) for split, of_split in records.items()}
    unlabeled = any(of_split[-1] for of_split in counts.values())
    if unlabeled:
        names.append("without a class")
    else:
        counts = {split: of_split[:-1] for split, of_split in counts.items()}
    draw_counts(counts, names, f"{source.name}: {source.num_classes} classes", file)


def _counts(records: Records, num_classes: int) -> np.ndarray:
    """Counts the videos of each class, and of no class at the end."""
    labels = np.where(records.labels == UNLABELED, num_classes, records.labels)
    return np.bincount(labels, minlength=num_classes + 1)


def _titles(seen: FirstBatch, source: VideoSource, shown: int) -> list[str]:
    """Returns titles of the first videos of the batch: class, path, and what was blended into them."""
    records = source.records("train").select(seen.batch["index"].numpy())
    names = class_names(source, records)
    paths = [display_path(path) for path in records.paths.tolist()]
    titles = []
    for number in range(shown):
        label = int(records.labels[number])
        lines = [names[label], paths[number]] if label >= 0 else [paths[number]]
        for view, clips in seen.distracted.items():
            added = format_blend(find_blend(seen.batch[view], clips, number), number, paths)
            lines.append(added if len(seen.distracted) == 1 else f"{view}: {added}")
        titles.append("\n".join(lines))
    return titles
