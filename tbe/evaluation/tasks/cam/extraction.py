"""Computes maps of the middle clips of a split, on any number of processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.distributed import first_of_each, gather_uneven
from tbe.evaluation.features import foreground as where_the_actor_is
from tbe.evaluation.tasks.cam.alignment import Shift, align_to_clips, measured_shift
from tbe.evaluation.tasks.cam.maps import activation_maps, foreground_share, predicted_classes, stretch_to_unit_range

MAX_PIXELS = 112  # side length of the clips kept for pictures


class Maps(NamedTuple):
    """Measurements of each video, and clips and maps of those to draw; on the CPU.

    area: (n,), shares: kind -> (n,), in percent; drawn: (v,), the videos' indices; clips (v, C, T, S, S);
    heat: kind -> (v, T, S, S) in [0, 1]; predicted: (v,), -1 without a head.
    """

    area: Tensor
    shares: dict[str, Tensor]
    drawn: Tensor
    clips: Tensor
    heat: dict[str, Tensor]
    predicted: Tensor


class Mapper(pl.LightningModule):
    """Computes maps of the videos it is run on and keeps those of `drawn`, indices (v,)."""

    def __init__(
        self,
        backbone: VideoBackbone,
        head: nn.Linear | None,
        kinds: list[str],
        drawn: np.ndarray,
    ):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.kinds = kinds
        self.drawn = torch.from_numpy(drawn)
        self.shift: Shift | None = None
        self.rows: list[tuple[Tensor, ...]] = []
        self.kept: list[tuple[Tensor, ...]] = []

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        middle = batch["clips"].shape[1] // 2  # of several crops
        clips, index = batch["clips"][:, middle], batch["index"]
        cropped = {name: part[:, middle, None] for name, part in batch.items() if name in ("clips", "foreground")}
        foreground = where_the_actor_is(batch | cropped)[:, 0, 0]
        if self.shift is None:
            self.shift = measured_shift(self.backbone, clips.shape[1:], clips.device)
        features = self.backbone.forward_features(clips).float()
        found = [activation_maps(features, self.head, kind).clamp_min(0) for kind in self.kinds]
        maps = [align_to_clips(of_kind, clips.shape[2:], self.shift) for of_kind in found]
        area = 100 * foreground.flatten(1).double().mean(dim=1)
        self.rows.append((index, area, *(foreground_share(of_kind, foreground) for of_kind in maps)))
        chosen = torch.isin(index, self.drawn.to(index.device))
        predicted = torch.full_like(index, -1) if self.head is None else predicted_classes(features, self.head)
        heat = (_small(stretch_to_unit_range(of_kind[chosen]).unsqueeze(1)).squeeze(1) for of_kind in maps)
        self.kept.append((index[chosen], predicted[chosen], _small(clips[chosen]), *heat))
        return index  # Lightning warns if a step returns None

    def on_predict_epoch_end(self) -> None:
        _, area, *shares = _gathered(self.rows)
        drawn, predicted, clips, *heat = _gathered(self.kept)
        self.rows, self.kept = [], []
        shares_by_kind, heat_by_kind = (dict(zip(self.kinds, found, strict=True)) for found in (shares, heat))
        self.found = Maps(area, shares_by_kind, drawn, clips, heat_by_kind, predicted)


def _gathered(rows: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """Gathers columns from all processes, sorted by the first one, the videos' indices."""
    columns = [gather_uneven(torch.cat(column)) for column in zip(*rows, strict=True)]
    order = first_of_each(columns[0])
    return [column[order].cpu() for column in columns]


def _small(clips: Tensor) -> Tensor:
    """Downsamples clips (B, C, T, S, S) to the size drawn."""
    side = min(clips.shape[-1], MAX_PIXELS)
    return F.adaptive_avg_pool3d(clips, (clips.shape[2], side, side)) if len(clips) else clips[..., :side, :side]
