"""Features as files, for whatever one wants to do with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tbe.distributed import rank
from tbe.tasks.base import Evaluation


@dataclass(frozen=True)
class SaveFeatures:
    """Writes, for the gallery and each query split, three files with one row a video, in the same order.

    `<split>_features.npy` float32 [num_videos, features_dim], `<split>_labels.npy` int64 (-1 where unknown) and
    `<split>_paths.txt`, below `features/<name of the checkpoint>`.
    """

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        folder = evaluation.folder / "features" / evaluation.name
        metrics = {}
        for split in dict.fromkeys([evaluation.gallery, *evaluation.queries]):
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
