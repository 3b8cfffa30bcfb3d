"""Few-shot recognition on frozen features, by nearest class prototypes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.intervals import half_interval
from tbe.evaluation.metrics import prototype_accuracy
from tbe.evaluation.neighbors import Exclusion
from tbe.evaluation.tasks.base import Evaluation

log = logging.getLogger(__name__)

CHUNK = 50  # episodes measured at once


@dataclass(frozen=True)
class FewShot:
    """Measures the accuracy in percent of nearest-prototype classification into `ways` classes, over many episodes.

    An episode draws `ways` classes, `shots` support videos of each from the gallery split, and `queries` of each from
    the query split, excluding the support videos. Classes with too few videos are ignored. Metrics: the mean over
    episodes, `few_shot/5way_1shot`, and half its 95 % interval, `..._interval`. With too few classes, raises UserError
    if `required`, otherwise warns and returns no numbers.
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
            videos = evaluation.video_ids(evaluation.gallery), evaluation.video_ids(split)
            for shots in self.shots:
                classes = self.classes(gallery.labels, queries.labels, shots, *videos)
                if not self._enough(len(classes), shots, evaluation.gallery, split):
                    continue
                accuracies = self.accuracies(gallery, queries, classes, shots, *videos)
                name = f"few_shot/{self.ways}way_{shots}shot"
                metrics[evaluation.key(name, split)] = float(accuracies.mean())
                metrics[evaluation.key(f"{name}_interval", split)] = half_interval(accuracies)
        return metrics

    def classes(self, gallery: Tensor, queries: Tensor, shots: int, learnt: Tensor, asked: Tensor) -> Tensor:
        """Returns the classes with enough videos, given labels and video ids of the rows of both splits.

        Enough queries must be left whichever videos are drawn as support.
        """
        num_classes = int(max(gallery.max(), queries.max())) + 1
        num_learnt, num_asked = (torch.bincount(labels, minlength=num_classes) for labels in (gallery, queries))
        same = Exclusion.of(asked, learnt)
        is_of_class = queries[same.queries] == gallery[same.gallery]
        # Number of queries lost if a video is drawn as support.
        lost = torch.bincount(same.gallery[is_of_class], minlength=len(gallery))
        for label in gallery[lost > 0].unique():
            num_asked[label] -= lost[gallery == label].sort(descending=True).values[:shots].sum()
        return ((num_learnt >= shots) & (num_asked >= self.queries)).nonzero().squeeze(1)

    def accuracies(
        self, gallery: Features, queries: Features, classes: Tensor, shots: int, learnt: Tensor, asked: Tensor
    ) -> np.ndarray:
        """Returns the accuracy of each episode, (episodes,); learnt, asked: video ids of gallery and query rows."""
        generator = Generator().manual_seed(self.seed)
        order = torch.rand(self.episodes, len(classes), generator=generator).argsort(dim=1)
        chosen = classes[order[:, : self.ways]]
        support = draw(gallery.labels, chosen, shots, generator)
        queried = draw(queries.labels, chosen, self.queries, generator, asked, learnt[support])
        parts = zip(support.split(CHUNK), queried.split(CHUNK), strict=True)
        found = [prototype_accuracy(gallery.vectors[one], queries.vectors[other]) for one, other in parts]
        return torch.cat(found).double().numpy()

    def _enough(self, num_classes: int, shots: int, gallery: str, split: str) -> bool:
        """Returns whether there are enough classes for an episode; warns or raises UserError otherwise."""
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


def draw(
    labels: Tensor,
    classes: Tensor,
    num: int,
    generator: Generator,
    videos: Tensor | None = None,
    taken: Tensor | None = None,
) -> Tensor:
    """Draws `num` distinct rows of each class at random: labels (n,), classes (E, W) -> indices (E, W, num).

    Rows whose video (n,) is among those `taken` for the class (E, W, S) are excluded; enough others must exist.
    """
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    starts = counts.cumsum(dim=0) - counts
    draws = torch.rand(*classes.shape, int(counts[classes].max()), generator=generator)
    numbers = torch.arange(draws.shape[-1])
    members = by_class[(starts[classes].unsqueeze(-1) + numbers).clamp_max(len(labels) - 1)]
    barred = numbers >= counts[classes].unsqueeze(-1)
    if videos is not None and taken is not None:
        for video in taken.unbind(dim=-1):  # one at a time to save memory
            barred |= videos[members] == video.unsqueeze(-1)
    places = draws.masked_fill(barred, 2.0).topk(num, dim=-1, largest=False).indices
    return members.gather(-1, places)
