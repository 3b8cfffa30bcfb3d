"""Extracts features of all videos of a split, on any number of processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tbe.data.backgrounds import ROLES
from tbe.data.datamodule import AddContext, VideoDataModule
from tbe.data.perturbation_dataset import PerturbationDataset
from tbe.data.prediction import PredictionData
from tbe.distributed import first_of_each, gather_uneven
from tbe.errors import UserError, is_out_of_memory
from tbe.evaluation.perturbations import (
    Clean,
    ContextFree,
    Measured,
    Perturbation,
    PerturbationContext,
    moving_foreground,
)

log = logging.getLogger(__name__)

CLEAN = {"clean": Clean()}


class Features(NamedTuple):
    """One row per video, in the order of the split's records.

    vectors: float32 (n, F), or (n, N, F) with one vector per clip; labels: int64 (n,).
    """

    vectors: Tensor
    labels: Tensor

    def averaged(self) -> Features:
        """Returns one vector per video, the mean of its clips."""
        return Features(self.vectors.mean(dim=1), self.labels) if self.vectors.ndim == 3 else self


def extract(
    network: nn.Module,
    datamodule: VideoDataModule,
    split: str,
    trainer: pl.Trainer,
    per_clip: bool = False,
    perturbations: Mapping[str, Perturbation] = CLEAN,
    max_clips_per_forward: int | None = None,
    add_context: AddContext = PerturbationDataset,
) -> dict[str, Features]:
    """Runs a network (B, C, T, H, W) -> (B, F) over a split, once for each perturbation of the same clips.

    The clips of a video are averaged unless `per_clip`. The network runs in eval and inference mode on all clips of a
    batch at once, or on at most `max_clips_per_forward`, which saves memory without changing results; the number is
    halved when memory runs out. Each process computes its share, all receive all rows, and no video counts twice.
    add_context: adds what perturbations need to the videos. Raises UserError for features that are not finite.
    """
    extractor = _Extractor(network, per_clip, perturbations, max_clips_per_forward)
    needs_context = any(not isinstance(change, ContextFree) for change in perturbations.values())
    loader = partial(datamodule.split_loader, split, add_context=add_context if needs_context else None)
    trainer.predict(extractor, datamodule=PredictionData(datamodule, loader), return_predictions=False)
    for name, found in extractor.found.items():
        wrong = ~found.vectors.isfinite().flatten(1).all(dim=1)
        if wrong.any():
            video = datamodule.source.records(split).path(int(wrong.nonzero()[0]))
            raise UserError(
                f"expected finite features, got nan or inf for {int(wrong.sum())} of {len(wrong)} videos of {split} "
                f"({name}), the first of them {video}: check the network's weights and precision"
            )
    return extractor.found


def pooled(network: nn.Module, clips: Tensor, num_features: int | None = None) -> Tensor:
    """Returns a network's float32 features (n, F) of clips (n, C, T, H, W).

    num_features: F of the clips before, None for the first. Raises UserError for anything but a vector for each clip,
    and for vectors of another length.
    """
    vectors = network(clips)
    got = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
    expected = (len(clips), num_features or "F")
    if not isinstance(vectors, Tensor) or vectors.ndim != 2 or len(vectors) != len(clips):
        raise UserError(
            f"{type(network).__name__}: expected one pooled vector for each clip, {expected} for clips "
            f"{tuple(clips.shape)}, got {got}: return the mean over positions, or the class token"
        )
    if num_features not in (None, vectors.shape[1]):
        raise UserError(
            f"{type(network).__name__}: expected vectors of one length, {num_features} as for the first clips, got "
            f"{vectors.shape[1]} for clips {tuple(clips.shape)}"
        )
    return vectors.float()


class _Extractor(pl.LightningModule):
    def __init__(
        self,
        network: nn.Module,
        per_clip: bool,
        perturbations: Mapping[str, Perturbation],
        max_clips_per_forward: int | None,
    ):
        super().__init__()
        self.network = network
        self.per_clip = per_clip
        self.perturbations = perturbations
        self.max_clips_per_forward = max_clips_per_forward
        self.rows: list[tuple[Tensor, ...]] = []
        self.num_features: int | None = None  # of the network, once it has answered

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        clips = batch["clips"].flatten(0, 1)
        around: Any = surroundings(batch) if "backdrops" in batch else None  # which the others do not look at
        changes = self.perturbations.values()
        vectors = [self._perturbed(change, clips, around, len(batch["index"])) for change in changes]
        self.rows.append((batch["label"], batch["index"], *vectors))
        return batch["index"]  # Lightning warns if a step returns None

    def _perturbed(self, change: Perturbation, clips: Tensor, around: Any, num_videos: int) -> Tensor:
        """Returns the features of changed clips, or what was measured of them in place of a change."""
        seen = change(clips, around)
        is_measure = isinstance(change, Measured)
        return self._by_video(seen, num_videos) if is_measure else self._features(seen, num_videos)

    def _features(self, clips: Tensor, num_videos: int) -> Tensor:
        return self._by_video(self._fitting(clips), num_videos)

    def _by_video(self, rows: Tensor, num_videos: int) -> Tensor:
        vectors = rows.unflatten(0, (num_videos, -1))
        return vectors if self.per_clip else vectors.mean(dim=1)

    def _fitting(self, clips: Tensor) -> Tensor:
        """Returns features (n, F) of clips, computed for as many at once as fit in memory."""
        asked = at_once = min(self.max_clips_per_forward or len(clips), len(clips))
        while True:
            try:
                vectors = torch.cat([self._vectors(part) for part in clips.split(at_once)])
            except RuntimeError as error:
                if at_once == 1 or not is_out_of_memory(error):
                    raise
                at_once //= 2
            else:
                break
            # Only here the exception is released, and with it the memory that it referenced.
            if clips.device.type == "cuda":
                torch.cuda.empty_cache()
        if at_once < asked:
            self.max_clips_per_forward = at_once
            log.warning("%d clips at once do not fit in memory: continuing with %d", asked, at_once)
        return vectors

    def _vectors(self, clips: Tensor) -> Tensor:
        """Returns the network's features (n, F) of clips; raises UserError for anything else."""
        vectors = pooled(self.network, clips, self.num_features)
        self.num_features = vectors.shape[1]
        return vectors

    def on_predict_epoch_end(self) -> None:
        labels, index, *vectors = (gather_uneven(torch.cat(column)) for column in zip(*self.rows, strict=True))
        order = first_of_each(index)
        self.rows = []
        self.found = {
            name: Features(found[order].cpu(), labels[order].cpu())
            for name, found in zip(self.perturbations, vectors, strict=True)
        }


def surroundings(batch: dict[str, Any]) -> PerturbationContext:
    """Returns the context of perturbations for all B * N clips of a batch of surrounded videos."""
    clips = batch["clips"]
    by_crop = batch["backdrops"]  # (B, M, P, C, 1, H, W), where the M crops of a clip are adjacent
    backdrops = by_crop.repeat(1, clips.shape[1] // by_crop.shape[1], *[1] * 5).flatten(0, 1)
    masks = foreground(batch).flatten(0, 1)
    known = batch.get("foreground_known", masks.new_full((len(clips),), "foreground" in batch))
    order = batch["order"].flatten(0, 1)
    known = known.repeat_interleave(clips.shape[1])
    if "lenders" not in batch:
        backdrop, of_class = backdrops.unbind(dim=1)
        return PerturbationContext(masks, backdrop, of_class, order, known)
    lenders = batch["lenders"].repeat_interleave(clips.shape[1], dim=0)
    backdrop, of_class = (backdrops[:, ROLES.index(role)] for role in ("any", "other_class"))
    return PerturbationContext(masks, backdrop, of_class, order, known, backdrops, lenders)


def foreground(batch: dict[str, Any]) -> Tensor:
    """Returns masks of the actor bool (B, N, 1, T, H, W) in the clips of a batch; of moving regions if unknown."""
    clips = batch["clips"]
    if "foreground" not in batch:
        return moving_foreground(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    unknown = ~batch["foreground_known"]
    if not unknown.any():
        return batch["foreground"]
    moving = moving_foreground(clips[unknown].flatten(0, 1)).unflatten(0, (-1, clips.shape[1]))
    return batch["foreground"].index_put((unknown,), moving)
