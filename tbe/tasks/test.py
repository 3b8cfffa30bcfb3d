"""Action recognition with a trained head."""

from __future__ import annotations

from dataclasses import dataclass

from tbe.metrics import topk_accuracy
from tbe.tasks.base import Evaluation


@dataclass(frozen=True)
class Accuracy:
    """Top-1 and top-5 in percent: of single clips, and of videos by the mean softmax of their clips."""

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        if evaluation.classifier is None:
            raise ValueError(
                "task=test: expected a checkpoint with a trained head (stage=finetune or stage=linear), "
                f"got {evaluation.name!r}, which has none. Train one with: python train.py stage=finetune "
                "init_from=<checkpoint>, or probe the features with task=linear."
            )
        metrics = {}
        for split in evaluation.queries:
            logits, labels = evaluation.logits(split)
            probabilities = logits.softmax(dim=-1)
            clip_labels = labels.repeat_interleave(probabilities.shape[1])
            for k in (1, 5):
                video = topk_accuracy(probabilities.mean(dim=1).numpy(), labels.numpy(), k)
                clip = topk_accuracy(probabilities.flatten(0, 1).numpy(), clip_labels.numpy(), k)
                metrics[evaluation.key(f"test/top{k}", split)] = video
                metrics[evaluation.key(f"test/clip_top{k}", split)] = clip
        return metrics
