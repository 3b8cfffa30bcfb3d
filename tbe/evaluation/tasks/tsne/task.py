"""t-SNE task: draws the features of a network as points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tbe.distributed import rank
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.tsne.drawing import draw_points
from tbe.evaluation.tasks.tsne.embedding import check_method, embed
from tbe.evaluation.tasks.tsne.page import thumbnails, write_page
from tbe.evaluation.tasks.tsne.points import Points, describe, read_points, write_points


@dataclass(frozen=True)
class Tsne:
    """Draws the query splits' features as points, colored by class and, if the data has scenes, by scene.

    Writes below `tsne/<name of the checkpoint>`, for each split, `<split>.png`, `<split>.html` (a page with the middle
    frame of the video under the pointer) and `<split>.csv`; for several checkpoints also `tsne/<split>.png`.
    method: 'tsne' or 'umap', which needs the package umap-learn; perplexity is t-SNE's. max_videos: per split, spread
    evenly. thumbnail: pixels of a frame's short side, 0 for none. Pictures show one random seed: distances between
    groups mean little (van der Maaten and Hinton, JMLR 2008).
    """

    method: str = "tsne"
    perplexity: float = 30.0
    max_videos: int = 2000
    thumbnail: int = 64
    seed: int = 0

    def __post_init__(self):
        check_method(self.method)

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        folder = evaluation.folder / "tsne" / evaluation.name
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            vectors = evaluation.features(split).vectors.numpy()
            chosen = np.unique(np.linspace(0, len(vectors) - 1, self.max_videos).round().astype(int))
            metrics[evaluation.key("tsne/videos", split)] = len(chosen)
            if rank() == 0:
                folder.mkdir(parents=True, exist_ok=True)
                self._write(evaluation, split, vectors[chosen], chosen, folder)
        return metrics

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Draws all checkpoints side by side, from the files that `run` wrote."""
        folders = {name: folder / "tsne" / name for name in rows}
        if len(rows) > 1:
            for file in next(iter(folders.values())).glob("*.csv"):
                columns = {name: read_points(found / file.name) for name, found in folders.items()}
                draw_points(columns, folder / "tsne" / f"{file.stem}.png")

    def _write(self, evaluation: Evaluation, split: str, vectors: np.ndarray, chosen: np.ndarray, folder: Path) -> None:
        source = evaluation.datamodule.source
        points = Points(embed(vectors, self.method, self.perplexity, self.seed), *describe(source, split, chosen))
        write_points(folder / f"{split}.csv", points)
        draw_points({evaluation.name: points}, folder / f"{split}.png")
        pictures: list[str] = []
        if self.thumbnail:
            pictures = thumbnails(evaluation.datamodule, source.records(split).select(chosen), self.thumbnail)
        write_page(folder / f"{split}.html", f"{evaluation.name}: {split} of {source.name}", points, pictures)
