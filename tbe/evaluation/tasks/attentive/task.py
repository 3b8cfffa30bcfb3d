"""Attentive probe task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tbe.errors import UserError
from tbe.evaluation.feature_cache import FeatureCache, weights_digest
from tbe.evaluation.metrics import topk_accuracy
from tbe.evaluation.tasks.attentive.fitting import Schedule, fit
from tbe.evaluation.tasks.attentive.pooling import AttentiveClassifier
from tbe.evaluation.tasks.attentive.tokens import extract_tokens
from tbe.evaluation.tasks.base import Evaluation


@dataclass(frozen=True)
class AttentiveProbe:
    """Measures top-1 and top-5 in percent of an attentive classifier trained on the tokens of the gallery split.

    The network stays frozen; the tokens are computed once, of all clips of each video, and kept in memory. An epoch
    sees one clip of each video, drawn at random, mirrored half of the time with `flip`, without the share `dropped` of
    its tokens. A video's score is the mean over its clips. All settings are fixed: none is chosen by accuracy.

    depth, heads: of the classifier. epochs, batch_size (videos), lr, weight_decay, warmup: of its training. The state
    after each epoch is kept beside the cached features, or in the run's folder, so the same command goes on where it
    was stopped. Raises UserError for a gallery of one class, or more than `max_gigabytes` of tokens.
    """

    depth: int = 1
    heads: int = 8
    epochs: int = 50
    batch_size: int = 64
    lr: float = 5e-4
    weight_decay: float = 0.05
    warmup: float = 0.1
    flip: bool = False
    dropped: float = 0.0
    max_gigabytes: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.depth, self.heads, self.epochs, self.batch_size)
        if min(counts) < 1 or self.lr <= 0 or self.weight_decay < 0:
            raise UserError(
                "attentive: expected depth, heads, epochs and batch_size of at least 1, lr above 0 and weight_decay of "
                f"at least 0, got {', '.join(map(str, (*counts, self.lr, self.weight_decay)))}"
            )
        if not (0 <= self.warmup < 1 and 0 <= self.dropped < 1):
            raise UserError(f"attentive: expected warmup and dropped in [0, 1), got {self.warmup} and {self.dropped}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        tokens, labels = extract_tokens(evaluation, evaluation.gallery, self.max_gigabytes, self.flip)
        num_classes = max(evaluation.datamodule.source.num_classes, int(labels.max()) + 1)
        device = evaluation.trainer.strategy.root_device
        probe = self.fit(tokens, labels, num_classes, device, self._file(evaluation))
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            evaluation.warn_of_trained_on(split)
            queries, truth = extract_tokens(evaluation, split, self.max_gigabytes)
            scores = self.scores(probe, queries, device)
            for k in (1, 5):
                metrics[evaluation.key(f"attentive/top{k}", split)] = topk_accuracy(scores, truth.numpy(), k)
        return metrics

    def fit(
        self, tokens: Tensor, labels: Tensor, num_classes: int, device: torch.device, file: Path | None = None
    ) -> AttentiveClassifier:
        """Returns a classifier trained on tokens (n, N, t, D); `file` keeps the state of its training."""
        if len(labels.unique()) < 2:
            raise UserError(
                f"attentive: expected videos of at least two classes to train on, got {len(labels)} of label "
                f"{', '.join(map(str, labels.unique().tolist()))}"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            probe = AttentiveClassifier(tokens.shape[-1], num_classes, self.depth, self.heads)
        schedule = Schedule(self.epochs, self.batch_size, self.lr, self.weight_decay, self.warmup)
        fit(probe, tokens, labels, schedule, self.dropped, self.seed, device, file)
        return probe

    @torch.no_grad()
    def scores(self, probe: AttentiveClassifier, tokens: Tensor, device: torch.device) -> np.ndarray:
        """Returns probabilities (n, num_classes), the mean over the clips of each video."""
        rows = [
            probe(part.to(device).flatten(0, 1)).softmax(dim=1).unflatten(0, (len(part), -1)).mean(dim=1)
            for part in tokens.split(self.batch_size)
        ]
        return torch.cat(rows).cpu().numpy()

    def _file(self, evaluation: Evaluation) -> Path:
        """Returns where the state of the training is kept; its name is that of everything it depends on."""
        cache = evaluation.cache
        if cache is None:  # the run's folder is that of several networks, or of one that was trained on
            clips = repr(evaluation.datamodule.eval_clips)
            protocol = {"name": evaluation.name, "origin": repr(evaluation.origin), "clips": clips}
            cache = FeatureCache(evaluation.folder / "attentive", weights_digest(evaluation.backbone), protocol)
        records = evaluation.datamodule.source.records(evaluation.gallery)
        name = cache.file(records, evaluation.gallery, self, per_clip=True)  # type: ignore[arg-type]  # by repr
        return name.with_suffix(".pt")
