"""Features of all videos of a split, computed on any number of processes."""

from __future__ import annotations

from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tbe.data.datamodule import VideoDataModule
from tbe.distributed import gather_uneven


class Features(NamedTuple):
    """One row a video, in the order of the split's records.

    vectors: float32 (n, F), or (n, N, F) where the clips were kept apart; labels: int64 (n,).
    """

    vectors: Tensor
    labels: Tensor


class _Extractor(pl.LightningModule):
    def __init__(self, network: nn.Module, per_clip: bool):
        super().__init__()
        self.network = network
        self.per_clip = per_clip
        self.rows: list[tuple[Tensor, Tensor, Tensor]] = []

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        clips = batch["clips"]
        vectors = self.network(clips.flatten(0, 1)).float().unflatten(0, clips.shape[:2])
        self.rows.append((vectors if self.per_clip else vectors.mean(dim=1), batch["label"], batch["index"]))
        return batch["index"]  # Lightning warns of a step that returns nothing

    def on_predict_epoch_end(self) -> None:
        vectors, labels, index = (gather_uneven(torch.cat(column)) for column in zip(*self.rows, strict=True))
        order = index.argsort()
        self.rows = []
        self.found = Features(vectors[order].cpu(), labels[order].cpu())


def extract(
    network: nn.Module, datamodule: VideoDataModule, split: str, trainer: pl.Trainer, per_clip: bool = False
) -> Features:
    """Runs a network (B, C, T, H, W) -> (B, F) over a split; the clips of a video are averaged unless `per_clip`.

    Each process sees its share, all of them get all rows, no video counts twice.
    """
    extractor = _Extractor(network, per_clip)
    datamodule.predict_split = split
    trainer.predict(extractor, datamodule=datamodule, return_predictions=False)
    return extractor.found
