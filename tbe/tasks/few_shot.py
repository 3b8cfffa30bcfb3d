"""Few-shot recognition: how well a handful of videos tells a class, on frozen features."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.features import Features
from tbe.metrics import prototype_accuracy
from tbe.statistics import half_interval
from tbe.tasks.base import Evaluation

log = logging.getLogger(__name__)

CHUNK = 50  # episodes measured in one go


@dataclass(frozen=True)
class FewShot:
    """The accuracy in percent of naming one of `ways` classes by the nearest of their prototypes, over many episodes.

    An episode draws `ways` classes, `shots` videos of each from the gallery split to learn from, and `queries` of each
    from the query split to be named; where both have the same videos, others than those learnt from. Classes with
    fewer videos are left out. Metrics: the mean over episodes, `few_shot/5way_1shot`, and half its 95 % interval,
    `..._interval`. A ValueError when too few classes are left, or a warning and no numbers where not `required`.
    """

    ways: int = 5
    shots: tuple[int, ...] = (1, 5)
    queries: int = 15
    episodes: int = 600
    seed: int = 0
    required: bool = True

    def __post_init__(self):
        least = {"ways": (self.ways, 2), "queries": (self.queries, 1), "episodes": (self.episodes, 2)}
        least["shots"] = (min(self.shots, default=0), 1)
        for name, (value, lowest) in least.items():
            if value < lowest:
                raise UserError(f"few_shot: expected {name} of at least {lowest}, got {value}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        metrics: dict[str, float] = {}
        gallery = evaluation.features(evaluation.gallery)
        for split in evaluation.queries:
            queries = evaluation.features(split)
            records = evaluation.datamodule.source.records
            alone = np.array_equal(records(split).paths, records(evaluation.gallery).paths)
            for shots in self.shots:
                classes = self.classes(gallery.labels, queries.labels, shots, alone)
                if not self._enough(len(classes), shots, evaluation.gallery, split):
                    continue
                accuracies = self.accuracies(gallery, queries, classes, shots, alone)
                name = f"few_shot/{self.ways}way_{shots}shot"
                metrics[evaluation.key(name, split)] = float(accuracies.mean())
                metrics[evaluation.key(f"{name}_interval", split)] = half_interval(accuracies)
        return metrics

    def classes(self, gallery: Tensor, queries: Tensor, shots: int, alone: bool) -> Tensor:
        """The classes with enough videos, by the labels of both splits."""
        num_classes = int(max(gallery.max(), queries.max())) + 1
        learnt, asked = (torch.bincount(labels, minlength=num_classes) for labels in (gallery, queries))
        enough = learnt >= shots + self.queries if alone else (learnt >= shots) & (asked >= self.queries)
        return enough.nonzero().squeeze(1)

    def accuracies(self, gallery: Features, queries: Features, classes: Tensor, shots: int, alone: bool) -> np.ndarray:
        """The accuracy of each episode over these classes, (episodes,)."""
        generator = Generator().manual_seed(self.seed)
        order = torch.rand(self.episodes, len(classes), generator=generator).argsort(dim=1)
        chosen = classes[order[:, : self.ways]]
        if alone:
            videos = draw(gallery.labels, chosen, shots + self.queries, generator)
            learnt, asked = videos[..., :shots], videos[..., shots:]
        else:
            learnt = draw(gallery.labels, chosen, shots, generator)
            asked = draw(queries.labels, chosen, self.queries, generator)
        parts = zip(learnt.split(CHUNK), asked.split(CHUNK), strict=True)
        found = [prototype_accuracy(gallery.vectors[one], queries.vectors[other]) for one, other in parts]
        return torch.cat(found).double().numpy()

    def _enough(self, num_classes: int, shots: int, gallery: str, split: str) -> bool:
        """Whether there are as many classes as an episode needs."""
        if num_classes >= self.ways:
            return True
        smaller = f"tasks.few_shot.ways={num_classes} or " if num_classes > 1 else ""
        message = (
            f"few_shot: expected {self.ways} classes of at least {shots} videos in {gallery} and {self.queries} others "
            f"in {split}, got {num_classes}. Set {smaller}a smaller tasks.few_shot.queries or tasks.few_shot.shots"
        )
        if self.required:
            raise UserError(message)
        if rank() == 0:
            log.warning(f"{message}. Left out")
        return False


def draw(labels: Tensor, classes: Tensor, num: int, generator: Generator) -> Tensor:
    """So many different videos of each of these classes, at random: labels (n,), classes (E, W) -> indices (E, W, num).

    Each class must have as many.
    """
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    starts = counts.cumsum(dim=0) - counts
    draws = torch.rand(*classes.shape, int(counts[classes].max()), generator=generator)
    beyond = torch.arange(draws.shape[-1]) >= counts[classes].unsqueeze(-1)
    places = draws.masked_fill(beyond, 2.0).topk(num, dim=-1, largest=False).indices
    return by_class[starts[classes].unsqueeze(-1) + places]
