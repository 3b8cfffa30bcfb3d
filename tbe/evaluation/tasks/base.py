"""What a task of eval.py gets: a network, its data, and features computed once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from torch import Tensor

from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.data.datamodule import VideoDataModule
from tbe.data.video_ids import video_ids
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.feature_cache import FeatureCache
from tbe.evaluation.features import CLEAN, Features, extract
from tbe.evaluation.neighbors import Exclusion
from tbe.evaluation.perturbations import Perturbation

log = logging.getLogger(__name__)


class Evaluation:
    """One network under evaluation. Features of a split are extracted once, whichever tasks ask for them.

    gallery: the split that is searched or trained on; queries: the splits that are measured.
    classifier: the backbone with its head, where the checkpoint has one.
    cache: where features are kept between runs, None for nowhere.
    backbone_config: what the backbone was built from; origin: where its weights come from, as plain types.
    max_clips_per_forward: the most clips that the backbone gets in one go, None for all of a batch.
    """

    def __init__(
        self,
        name: str,
        backbone: VideoBackbone,
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
        self.folder = folder
        self.backbone_config = backbone_config
        self.origin = origin
        self.cache = cache
        self.max_clips_per_forward = max_clips_per_forward
        self._found: dict[tuple[str, str], Features] = {}
        self._video_ids: dict[str, Tensor] = {}
        self._warned: set[str] = set()  # splits that share videos with what classifiers are trained on

    def features(self, split: str) -> Features:
        """Backbone features (n, F) of a split, averaged over the clips of each video."""
        return self.perturbed_features(split, CLEAN)["clean"].averaged()

    def logits(self, split: str) -> Features:
        """What the trained head says of each clip of a split: vectors (n, N, num_classes)."""
        return self.classify(self.perturbed_features(split, CLEAN, per_clip=True)["clean"])

    def classify(self, found: Features) -> Features:
        """What the trained head says of backbone features: vectors (..., F) become (..., num_classes)."""
        with torch.inference_mode():
            return Features(self.classifier.head.cpu()(found.vectors), found.labels)

    def video_ids(self, split: str) -> Tensor:
        """Which video each row of a split is, int64 (n,): equal numbers are one video, in any split."""
        if split not in self._video_ids:
            self._video_ids[split] = torch.from_numpy(video_ids(self.datamodule.source.records(split)))
        return self._video_ids[split]

    def same_videos(self, split: str, gallery: str) -> Exclusion:
        """The pairs of rows of a query split and of a gallery that are one video: no query finds itself.

        A ValueError for a query that has nothing else to find.
        """
        excluded = Exclusion.of(self.video_ids(split), self.video_ids(gallery))
        lonely = excluded.counts(len(self.video_ids(split))) == len(self.video_ids(gallery))
        if lonely.any():
            video = self.datamodule.source.records(split).path(int(lonely.nonzero()[0]))
            raise UserError(
                f"expected at least one video of {gallery} to find besides the query itself, got none for {video}"
            )
        return excluded

    def warn_of_trained_on(self, split: str) -> None:
        """Says, once, which share of a query split's videos a classifier trained on the gallery has seen."""
        known = torch.isin(self.video_ids(split), self.video_ids(self.gallery))
        if known.any() and split not in self._warned and rank() == 0:
            log.warning(
                f"{int(known.sum())} of the {len(known)} videos of {split} are also in {self.gallery}, which linear "
                "classifiers are trained on: their numbers on these say what was learned by heart"
            )
        self._warned.add(split)

    def perturbed_features(
        self, split: str, perturbations: Mapping[str, Perturbation], per_clip: bool | None = None
    ) -> dict[str, Features]:
        """Backbone features of a split under each perturbation, all that are not known yet in one pass over the videos.

        Clips are kept apart, (n, N, F), where `per_clip` says so, which None leaves to the split: those of queries
        are. Otherwise they may be averaged, (n, F).
        """
        per_clip = split in self.queries if per_clip is None else per_clip
        looked_up = {name: self._known(split, perturbation, per_clip) for name, perturbation in perturbations.items()}
        known = {name: found for name, found in looked_up.items() if found is not None}
        missing = {name: perturbation for name, perturbation in perturbations.items() if name not in known}
        if missing:
            settings = (self.trainer, per_clip, missing, self.max_clips_per_forward)
            computed = extract(self.backbone, self.datamodule, split, *settings)
            for name, found in computed.items():
                known[name] = self._found[split, repr(perturbations[name])] = found
                if self.cache:
                    self.cache.write(self._file(split, perturbations[name], per_clip), found)
        return {name: known[name] for name in perturbations}

    def _known(self, split: str, perturbation: Perturbation, per_clip: bool) -> Features | None:
        found = self._found.get((split, repr(perturbation)))
        if found is None and self.cache:
            with suppress(FileNotFoundError):  # a data set that is not drawn yet
                found = self.cache.read(self._file(split, perturbation, per_clip))
                if found is not None:
                    self._found[split, repr(perturbation)] = found
        return None if found is None or (per_clip and found.vectors.ndim == 2) else found

    def _file(self, split: str, perturbation: Perturbation, per_clip: bool) -> Path:
        return self.cache.file(self.datamodule.source.records(split), split, perturbation, per_clip)

    def require_head(self, task: str, instead: str) -> Classifier:
        """Returns the trained classifier; raises a UserError where there is none, or one of other classes.

        task: as the message names it; instead: what to do without a head.
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

    def key(self, metric: str, split: str) -> str:
        """How a metric of a split is called: plainly for a single query split, else with the split's name."""
        return metric if len(self.queries) == 1 else f"{metric}/{split}"


class Task(Protocol):
    """One way to measure a network."""

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        """Metrics by name, accuracies in percent; pictures and tables go to `evaluation.folder`."""


@runtime_checkable
class ComparingTask(Task, Protocol):
    """A task that has something to show of all checkpoints together."""

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Called once on the first process, after all checkpoints, with the metrics of each by its name."""
