"""Asks a model about all changed clips of a split, in one pass over its videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from tbe.auditing.answers import Answers
from tbe.auditing.clips import FRAMES, all_clips
from tbe.data.backgrounds import ROLES, Backgrounds, PlaceDataset, SwappedVideos, choose_partners
from tbe.data.datamodule import VideoDataModule
from tbe.data.dataset import VideoDataset
from tbe.data.perturbation_dataset import Foreground
from tbe.data.video_ids import video_ids
from tbe.errors import UserError
from tbe.evaluation.features import CLEAN, Features
from tbe.evaluation.perturbations import ForegroundShare, Lenders, Perturbation
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.scene_leakage import can_be_told, has_scenes

MIN_AREA, MAX_AREA = 0.002, 0.9  # of the frame, for an actor that can be seen and a background that can be swapped
MAX_MOVING = 0.5  # of the frame: where more moves, the camera does


def ask(evaluation: Evaluation, split: str, linear: LinearProbe, weights: Sequence[float]) -> Answers:
    """Returns what a linear classifier on the model's features, and its own head, answer for each video and clip.

    The classifier is trained on the clean clips of the gallery; the one of the control `frames` on one repeated frame.
    Raises UserError for data with masks if none of them is of this split's videos.
    """
    evaluation.warn_of_trained_on(split)
    clips, has_head = all_clips(weights), evaluation.head_of_the_data("task=audit") is not None
    add_context = partial(swapped, evaluation.datamodule)
    trained = evaluation.perturbed_features(evaluation.gallery, CLEAN | {"static": FRAMES}, False, add_context)
    measures: dict[str, Perturbation] = {"foreground": ForegroundShare(), "lenders": Lenders()}
    found = evaluation.perturbed_features(split, clips | measures, has_head, add_context)
    averaged = {name: features.averaged() for name, features in found.items()}
    masks, lenders = (averaged.pop(name).vectors for name in measures)
    given = {f"linear:{name}": column for name, column in _told(linear, trained["clean"], averaged).items()}
    if has_head:
        for name in clips:
            scores = evaluation.classify(found[name]).vectors.softmax(dim=-1)
            given[f"head:{name}"] = scores.flatten(1, -2).mean(dim=1).argmax(dim=1).numpy()
    static = {"static": averaged["static"]}
    given |= {f"frames:{name}": column for name, column in _told(linear, trained["static"], static).items()}
    records = evaluation.datamodule.source.records(split)
    facts = {"label": records.labels, **_validity(masks, evaluation, split), **_lenders(lenders)}
    if has_scenes(evaluation) and can_be_told(evaluation, split):
        source: Any = evaluation.datamodule.source
        gallery = Features(trained["clean"].averaged().vectors, source.scenes(evaluation.gallery))
        facts["scene"] = source.scenes(split).numpy()
        given["scene:clean"] = _told(linear, gallery, {"clean": averaged["clean"]})["clean"]
    return Answers([os.fsdecode(path) for path in records.paths], facts, given)


def swapped(datamodule: VideoDataModule, videos: VideoDataset, seed: int, foreground: Foreground) -> SwappedVideos:
    """Returns the videos with backgrounds, which a pass over few frames of each finds first."""
    places: dict[int, Tensor] = {}
    stills: dict[int, Tensor] = {}
    for batch in datamodule.shared_loader(PlaceDataset(videos, foreground), 0, 1):
        for index, pictures, (height, width) in zip(
            batch["index"].tolist(), batch["pictures"], batch["size"].tolist(), strict=True
        ):
            places[index], stills[index] = pictures[:, None, :, :height, :width].clone()
    records = videos.records
    partners = choose_partners(places, records.labels, seed, video_ids(records))
    return SwappedVideos(videos, seed, foreground, Backgrounds(places, stills, partners))


def _told(linear: LinearProbe, gallery: Features, asked: dict[str, Features]) -> dict[str, np.ndarray]:
    """Returns the classes that a linear classifier of the gallery gives, int64 (n,)."""
    classifier: Any = linear.fit(gallery.averaged())[0]
    return {name: classifier.predict(features.vectors.numpy()) for name, features in asked.items()}


def _lenders(rows: Tensor) -> dict[str, np.ndarray]:
    """Returns the columns of who lent the backgrounds; rows: float (n, 2 * P)."""
    labels, indices = rows.round().long().unflatten(1, (2, -1)).unbind(dim=1)
    columns = {f"background_{role}": labels[:, number].numpy() for number, role in enumerate(ROLES)}
    return columns | {f"lender_{role}": indices[:, number].numpy() for number, role in enumerate(ROLES)}


def _validity(masks: Tensor, evaluation: Evaluation, split: str) -> dict[str, np.ndarray]:
    """Returns the columns area, is_known and is_valid; masks (n, 2): area, and whether the mask is known.

    Where any mask is known, only videos with a true mask count; elsewhere those of which at most half moves.
    """
    area, known = masks[:, 0].double().numpy(), masks[:, 1].numpy() > 0
    given = getattr(evaluation.datamodule.source, "masks", None)
    if given is not None and hasattr(given, "folder") and not known.any():
        raise UserError(
            f"audit: expected masks of the videos of {split} below data.masks={given.folder}, got none for any of "
            f"{len(area)} videos: they are another data set's, or of another split. Set data.masks=<folder>, or null "
            "to take what moves for the actor"
        )
    most = MAX_AREA if known.any() else MAX_MOVING
    valid = (area >= MIN_AREA) & (area <= most) & (known | ~known.any())
    return {"area": area, "is_known": known.astype(np.int64), "is_valid": valid.astype(np.int64)}
