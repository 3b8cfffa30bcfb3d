"""The interface of evaluation tasks, and the network, data and features that they share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.data.datamodule import AddContext, VideoDataModule
from tbe.data.perturbation_dataset import PerturbationDataset
from tbe.data.video_ids import video_ids
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.feature_cache import FeatureCache
from tbe.evaluation.features import CLEAN, Features, extract
from tbe.evaluation.neighbors import Exclusion
from tbe.evaluation.perturbations import ContextFree, Perturbation

log = logging.getLogger(__name__)


class Evaluation:
    """A network under evaluation and its features, which are extracted once for all tasks.

    backbone: maps clips (B, C, T, H, W) to features (B, F); of another origin than this project for `model=`.
    gallery: the split to search or to train probes on; queries: the splits to measure.
    classifier: the backbone with its head, if the checkpoint has one.
    cache: of features between runs; None for no cache.
    backbone_config: the config of the backbone; origin: where its weights come from, as plain types.
    max_clips_per_forward: the maximum of clips per forward pass; None for all of a batch.
    num_asked: the number of splits asked for, some of which the data may lack; None for that of `queries`.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        classifier: Classifier | None,
        datamodule: VideoDataModule,
        trainer: pl.Trainer,
        gallery: str,
        queries: list[str],
        folder: Path,
        cache: FeatureCache | None = None,
        backbone_config: dict[str, Any] | None = None,
        origin: dict[str, Any] | str | None = None,
        max_clips_per_forward: int | None = None,
        num_asked: int | None = None,
    ):
        if max_clips_per_forward is not None and max_clips_per_forward < 1:
            raise UserError(
                f"eval: expected max_clips_per_forward to be a number above 0 or null, got {max_clips_per_forward}"
            )
        self.name = name
        self.backbone = backbone
        self.classifier = classifier
        self.datamodule = datamodule
        self.trainer = trainer
        self.gallery = gallery
        self.queries = queries
        self.num_asked = num_asked
        self.folder = folder
        self.backbone_config = backbone_config
        self.origin = origin
        self.cache = cache
        self.max_clips_per_forward = max_clips_per_forward
        self._found: dict[tuple[str, str], Features] = {}
        self._video_ids: dict[str, Tensor] = {}
        self._masks: dict[str, list | None] = {}  # what changes with the masks of a split
        self._warned: set[str] = set()  # splits that share videos with the training data of classifiers

    def features(self, split: str) -> Features:
        """Returns backbone features (n, F) of a split, averaged over the clips of each video."""
        return self.perturbed_features(split, CLEAN)["clean"].averaged()

    def logits(self, split: str) -> Features:
        """Returns the logits of each clip of a split, by the trained head: vectors (n, N, num_classes)."""
        return self.classify(self.perturbed_features(split, CLEAN, per_clip=True)["clean"])

    def classify(self, found: Features) -> Features:
        """Applies the trained head to backbone features: vectors (..., F) become logits (..., num_classes)."""
        with torch.inference_mode():
            return Features(self.classifier.head.cpu()(found.vectors), found.labels)

    def video_ids(self, split: str) -> Tensor:
        """Returns the video id of each row of a split, int64 (n,); ids are comparable between splits."""
        if split not in self._video_ids:
            self._video_ids[split] = torch.from_numpy(video_ids(self.datamodule.source.records(split)))
        return self._video_ids[split]

    def same_videos(self, split: str, gallery: str) -> Exclusion:
        """Returns the pairs of query and gallery rows of the same video, to exclude queries from their own results.

        Raises UserError for a query with no other video in the gallery.
        """
        excluded = Exclusion.of(self.video_ids(split), self.video_ids(gallery))
        lonely = excluded.counts(len(self.video_ids(split))) == len(self.video_ids(gallery))
        if lonely.any():
            video = self.datamodule.source.records(split).path(int(lonely.nonzero()[0]))
            raise UserError(f"expected at least one video of {gallery} besides the query itself, got none for {video}")
        return excluded

    def warn_of_trained_on(self, split: str) -> None:
        """Warns once if videos of a query split are also in the gallery that classifiers are trained on."""
        known = torch.isin(self.video_ids(split), self.video_ids(self.gallery))
        if known.any() and split not in self._warned and rank() == 0:
            log.warning(
                f"{int(known.sum())} of the {len(known)} videos of {split} are also in {self.gallery}, on which linear "
                "classifiers are trained: their accuracy on these measures memorization"
            )
        self._warned.add(split)

    def perturbed_features(
        self,
        split: str,
        perturbations: Mapping[str, Perturbation],
        per_clip: bool | None = None,
        add_context: AddContext = PerturbationDataset,
    ) -> dict[str, Features]:
        """Returns backbone features of a split under each perturbation, extracting missing ones in one pass.

        With `per_clip` features are (n, N, F), otherwise they may be averaged over clips, (n, F). None keeps clips
        separate for query splits only. add_context: adds what perturbations need to the videos.
        """
        per_clip = split in self.queries if per_clip is None else per_clip
        looked_up = {name: self._known(split, perturbation, per_clip) for name, perturbation in perturbations.items()}
        known = {name: found for name, found in looked_up.items() if found is not None}
        missing = {name: perturbation for name, perturbation in perturbations.items() if name not in known}
        if missing:
            settings = (self.trainer, per_clip, missing, self.max_clips_per_forward, add_context)
            computed = extract(self.backbone, self.datamodule, split, *settings)
            for name, found in computed.items():
                known[name] = self._found[split, repr(perturbations[name])] = found
                if self.cache:
                    self.cache.write(self._file(split, perturbations[name], per_clip), found)
        return {name: known[name] for name in perturbations}

    def _known(self, split: str, perturbation: Perturbation, per_clip: bool) -> Features | None:
        found = self._found.get((split, repr(perturbation)))
        if found is None and self.cache:
            with suppress(FileNotFoundError):  # a synthetic data set that is not rendered yet
                found = self.cache.read(self._file(split, perturbation, per_clip))
                if found is not None and len(found.labels) != len(self.datamodule.source.records(split)):
                    found = None  # of some of the videos, as earlier versions cached those of a limited trainer
                if found is not None:
                    self._found[split, repr(perturbation)] = found
        return None if found is None or (per_clip and found.vectors.ndim == 2) else found

    def _file(self, split: str, perturbation: Perturbation, per_clip: bool) -> Path:
        masks = None if isinstance(perturbation, ContextFree) else self._masks_of(split)
        return self.cache.file(self.datamodule.source.records(split), split, perturbation, per_clip, masks)

    def _masks_of(self, split: str) -> list | None:
        if split not in self._masks:
            self._masks[split] = self.datamodule.source.foreground_version(split)
        return self._masks[split]

    def require_head(self, task: str, instead: str) -> Classifier:
        """Returns the trained classifier; raises UserError if there is none, or if it has other classes.

        task: its name in the message; instead: advice for checkpoints without a head.
        """
        if self.classifier is None:
            raise UserError(
                f"{task}: expected a checkpoint with a trained head (stage=finetune or stage=linear), got "
                f"{self.name!r}, which has none. Train one with: python train.py stage=finetune "
                f"init_from=<checkpoint>, or {instead}"
            )
        known, source = self.classifier.head.out_features, self.datamodule.source
        if source.num_classes != known:
            raise UserError(
                f"{task}: expected a data set of the {known} classes that the head of {self.name!r} knows, got "
                f"{source.num_classes} (data={source.name}). Measure it on the data that it was trained on, or "
                f"{instead}"
            )
        return self.classifier

    def head_of_the_data(self, task: str) -> Classifier | None:
        """Returns the trained classifier; None if there is none, or, with a warning, if it has other classes."""
        if self.classifier is None or self.knows_the_classes():
            return self.classifier
        if rank() == 0:
            source = self.datamodule.source
            log.warning(
                f"{task}: the head of {self.name!r} knows {self.classifier.head.out_features} classes, "
                f"data={source.name} has {source.num_classes}: it is left out, and the features alone are measured"
            )
        return None

    def knows_the_classes(self) -> bool:
        """Returns whether there is a trained classifier of as many classes as the data has."""
        known: int | None = None if self.classifier is None else self.classifier.head.out_features
        return known == self.datamodule.source.num_classes

    def require_backbone(self, task: str) -> VideoBackbone:
        """Returns the network if it has feature maps as VideoBackbone has; raises UserError for another model."""
        if not hasattr(self.backbone, "forward_features"):
            raise UserError(
                f"{task}: expected a backbone of this project (checkpoint=<file>), with feature maps and a config, got "
                f"the model {self.name!r}. task=audit shows where a model looks, if it can"
            )
        return self.backbone  # type: ignore[return-value]  # it is used as one

    def key(self, metric: str, split: str) -> str:
        """Returns the name of a metric, with the split's name appended if several query splits were asked for."""
        return metric if (self.num_asked or len(self.queries)) == 1 else f"{metric}/{split}"


class Task(Protocol):
    """A measurement of a network."""

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        """Returns metrics by name, accuracies in percent; writes pictures and tables to `evaluation.folder`."""


@runtime_checkable
class ComparingTask(Task, Protocol):
    """A task that also compares all checkpoints."""

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Compares checkpoints by the metrics of each; called once, on the first process, after all have run."""
