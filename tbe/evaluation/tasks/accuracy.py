"""Measures action recognition with a trained head (task=test)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tbe.data.sources.class_names import class_names
from tbe.data.sources.records import Records
from tbe.distributed import rank
from tbe.evaluation.intervals import bootstrap_interval
from tbe.evaluation.metrics import topk_accuracy
from tbe.evaluation.tasks.base import Evaluation


@dataclass(frozen=True)
class Accuracy:
    """Measures top-1 and top-5 in percent, of videos by the mean softmax of their views and of single views (`clip_`).

    A view is a crop of a clip. `mean_class_top1` averages top-1 over classes; `top1_low` and `top1_high` are the 95 %
    bootstrap interval of top-1 over `draws` samples of the videos. Writes `per_class.csv` and `predictions.csv` below
    `test/<name>[/<split>]`.
    """

    draws: int = 10_000
    seed: int = 0

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        evaluation.require_head("task=test", "probe the features with task=linear")
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            found = evaluation.logits(split)
            views, labels = found.vectors.softmax(dim=-1).numpy(), found.labels.numpy()
            of_split = self.measure(views, labels)
            metrics |= {evaluation.key(f"test/{name}", split): value for name, value in of_split.items()}
            if rank() == 0:
                folder = evaluation.folder / evaluation.key(f"test/{evaluation.name}", split)
                source = evaluation.datamodule.source
                records = source.records(split)
                write_tables(folder, views.mean(axis=1), labels, records, class_names(source, records))
        return metrics

    def measure(self, views: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Computes the metrics from probabilities of views (n, N, num_classes) and labels of videos (n,)."""
        videos, clips = views.mean(axis=1), views.reshape(-1, views.shape[-1])
        clip_labels = labels.repeat(views.shape[1])
        correct = videos.argmax(axis=1) == labels
        counts, hits = count_by_class(correct, labels, views.shape[-1])
        interval = bootstrap_interval(correct, self.draws, self.seed)
        return {
            "top1": topk_accuracy(videos, labels, 1),
            "top1_low": 100 * interval.low,
            "top1_high": 100 * interval.high,
            "top5": topk_accuracy(videos, labels, 5),
            "mean_class_top1": 100 * float((hits[counts > 0] / counts[counts > 0]).mean()),
            "clip_top1": topk_accuracy(clips, clip_labels, 1),
            "clip_top5": topk_accuracy(clips, clip_labels, 5),
        }


def count_by_class(correct: np.ndarray, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts the videos and the correct videos of each class, each (num_classes,)."""
    return np.bincount(labels, minlength=num_classes), np.bincount(labels[correct], minlength=num_classes)


def write_tables(
    folder: Path, probabilities: np.ndarray, labels: np.ndarray, records: Records, names: Sequence[str]
) -> None:
    """Writes the accuracy of each class, and the predictions of each video from probabilities (n, num_classes)."""
    folder.mkdir(parents=True, exist_ok=True)
    predictions = probabilities.argmax(axis=1)
    counts, hits = count_by_class(predictions == labels, labels, probabilities.shape[1])
    accuracies = (f"{100 * hit / count:.2f}" if count else "" for hit, count in zip(hits, counts, strict=True))
    by_class = zip(range(len(counts)), names, counts, hits, accuracies, strict=True)
    _write_csv(folder / "per_class.csv", ("class", "name", "videos", "correct", "accuracy"), by_class)
    if len(records) == len(labels):  # a trainer may be limited to some of them
        said = probabilities.max(axis=1)
        by_video = zip(map(os.fsdecode, records.paths), labels, predictions, map("{:.4f}".format, said), strict=True)
        _write_csv(folder / "predictions.csv", ("path", "label", "prediction", "probability"), by_video)


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    # Paths may contain bytes that are not UTF-8, which are written unchanged.
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows(rows)
