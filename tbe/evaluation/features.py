"""Features of all videos of a split, computed on any number of processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tbe.data.datamodule import VideoDataModule
from tbe.distributed import first_of_each, gather_uneven
from tbe.errors import UserError
from tbe.evaluation.perturbations import Clean, ForegroundShare, Perturbation, PerturbationContext, moving_foreground

log = logging.getLogger(__name__)

CLEAN = {"clean": Clean()}


class Features(NamedTuple):
    """One row a video, in the order of the split's records.

    vectors: float32 (n, F), or (n, N, F) where the clips were kept apart; labels: int64 (n,).
    """

    vectors: Tensor
    labels: Tensor

    def averaged(self) -> Features:
        """One vector a video: the mean of its clips."""
        return Features(self.vectors.mean(dim=1), self.labels) if self.vectors.ndim == 3 else self


def extract(
    network: nn.Module,
    datamodule: VideoDataModule,
    split: str,
    trainer: pl.Trainer,
    per_clip: bool = False,
    perturbations: Mapping[str, Perturbation] = CLEAN,
    max_clips_per_forward: int | None = None,
) -> dict[str, Features]:
    """Runs a network (B, C, T, H, W) -> (B, F) over a split, once for each perturbation of the same clips.

    The clips of a video are averaged unless `per_clip`. The network, in eval and inference mode, gets all clips of a
    batch in one go, or at most `max_clips_per_forward`, which takes less memory and changes nothing; half as many from
    where memory does not hold them. Each process sees its share, all of them get all rows, no video counts twice. A
    ValueError for features that are not finite.
    """
    extractor = _Extractor(network, per_clip, perturbations, max_clips_per_forward)
    datamodule.predict_split = split
    datamodule.with_context = any(not isinstance(perturbation, Clean) for perturbation in perturbations.values())
    trainer.predict(extractor, datamodule=datamodule, return_predictions=False)
    for name, found in extractor.found.items():
        wrong = ~found.vectors.isfinite().flatten(1).all(dim=1)
        if wrong.any():
            video = datamodule.source.records(split).path(int(wrong.nonzero()[0]))
            raise UserError(
                f"expected finite features, got nan or inf for {int(wrong.sum())} of {len(wrong)} videos of {split} "
                f"({name}), the first of them {video}: the network's weights or its precision are at fault"
            )
    return extractor.found


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

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        clips = batch["clips"].flatten(0, 1)
        around: Any = surroundings(batch) if "backdrops" in batch else None  # which Clean does not look at
        changes = self.perturbations.values()
        vectors = [self._perturbed(change, clips, around, len(batch["index"])) for change in changes]
        self.rows.append((batch["label"], batch["index"], *vectors))
        return batch["index"]  # Lightning warns of a step that returns nothing

    def _perturbed(self, change: Perturbation, clips: Tensor, around: Any, num_videos: int) -> Tensor:
        """Returns the features of changed clips, or what was measured of them in place of a change."""
        seen = change(clips, around)
        is_measure = isinstance(change, ForegroundShare)
        return self._by_video(seen, num_videos) if is_measure else self._features(seen, num_videos)

    def _features(self, clips: Tensor, num_videos: int) -> Tensor:
        return self._by_video(self._fitting(clips), num_videos)

    def _by_video(self, rows: Tensor, num_videos: int) -> Tensor:
        vectors = rows.unflatten(0, (num_videos, -1))
        return vectors if self.per_clip else vectors.mean(dim=1)

    def _fitting(self, clips: Tensor) -> Tensor:
        """The network's features (n, F) of clips, as many in one go as memory holds."""
        asked = at_once = min(self.max_clips_per_forward or len(clips), len(clips))
        while True:
            try:
                vectors = torch.cat([self.network(part).float() for part in clips.split(at_once)])
            except torch.OutOfMemoryError:
                if at_once == 1:
                    raise
                at_once //= 2
            else:
                break
            # The error is gone only here, and with it what it held of the memory.
            if clips.device.type == "cuda":
                torch.cuda.empty_cache()
        if at_once < asked:
            self.max_clips_per_forward = at_once
            log.warning("memory holds no %d clips at once: the network gets %d from now on", asked, at_once)
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
    """What perturbations may use, for all clips of a batch of surrounded videos, B * N of them."""
    clips = batch["clips"]
    backdrop, of_class = batch["backdrops"].repeat_interleave(clips.shape[1], dim=0).unbind(dim=1)
    masks = foreground(batch).flatten(0, 1)
    known = batch.get("foreground_known", masks.new_full((len(clips),), "foreground" in batch))
    order = batch["order"].flatten(0, 1)
    return PerturbationContext(masks, backdrop, of_class, order, known.repeat_interleave(clips.shape[1]))


def foreground(batch: dict[str, Any]) -> Tensor:
    """Where the actor is in the clips of a batch, bool (B, N, 1, T, H, W): what moves, in videos where nobody knows."""
    clips = batch["clips"]
    if "foreground" not in batch:
        return moving_foreground(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    unknown = ~batch["foreground_known"]
    if not unknown.any():
        return batch["foreground"]
    moving = moving_foreground(clips[unknown].flatten(0, 1)).unflatten(0, (-1, clips.shape[1]))
    return batch["foreground"].index_put((unknown,), moving)
