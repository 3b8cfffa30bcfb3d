"""What a task of eval.py gets: a network, its data, and features computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytorch_lightning as pl
from torch import nn

from tbe.data.datamodule import VideoDataModule
from tbe.features import Features, extract


class Evaluation:
    """One network under evaluation. Features of a split are extracted once, whichever tasks ask for them.

    gallery: the split that is searched or trained on; queries: the splits that are measured.
    classifier: the backbone with its head, where the checkpoint has one.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        classifier: nn.Module | None,
        datamodule: VideoDataModule,
        trainer: pl.Trainer,
        gallery: str,
        queries: list[str],
        folder: Path,
    ):
        self.name = name
        self.backbone = backbone
        self.classifier = classifier
        self.datamodule = datamodule
        self.trainer = trainer
        self.gallery = gallery
        self.queries = queries
        self.folder = folder
        self._features: dict[str, Features] = {}

    def features(self, split: str) -> Features:
        """Backbone features (n, F) of a split, averaged over the clips of each video."""
        if split not in self._features:
            self._features[split] = extract(self.backbone, self.datamodule, split, self.trainer)
        return self._features[split]

    def key(self, metric: str, split: str) -> str:
        """How a metric of a split is called: plainly for a single query split, else with the split's name."""
        return metric if len(self.queries) == 1 else f"{metric}/{split}"


class Task(Protocol):
    """One way to measure a network."""

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        """Metrics by name, accuracies in percent; pictures and tables go to `evaluation.folder`."""
