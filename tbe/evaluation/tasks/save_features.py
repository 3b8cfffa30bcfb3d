"""Writes features to NumPy files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tbe.distributed import rank
from tbe.evaluation.features import CLEAN
from tbe.evaluation.tasks.base import Evaluation


@dataclass(frozen=True)
class SaveFeatures:
    """Writes three files for the gallery and each query split, with one row per video in the same order.

    `<split>_features.npy` float32 [num_videos, features_dim], or with `per_clip` [num_videos, num_clips, features_dim],
    `<split>_labels.npy` int64 (-1 where unknown) and `<split>_paths.txt`, below `features/<name of the checkpoint>`.
    Several crops of a clip count as clips.
    """

    per_clip: bool = False

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        folder = evaluation.folder / "features" / evaluation.name
        metrics: dict[str, float] = {}
        for split in dict.fromkeys([evaluation.gallery, *evaluation.queries]):
            if self.per_clip:
                vectors, labels = evaluation.perturbed_features(split, CLEAN, per_clip=True)["clean"]
            else:
                vectors, labels = evaluation.features(split)
            records = evaluation.datamodule.source.records(split)
            if rank() == 0:
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{split}_features.npy", vectors.numpy())
                np.save(folder / f"{split}_labels.npy", labels.numpy())
                paths = b"\n".join(records.paths.tolist()) + b"\n"
                (folder / f"{split}_paths.txt").write_bytes(paths)
            metrics[f"features/{split}_videos"] = len(vectors)
        return metrics
