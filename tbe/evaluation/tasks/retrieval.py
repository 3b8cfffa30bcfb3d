"""Video retrieval: R@k and mean average precision on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from tbe.data.datamodule import VideoDataModule
from tbe.data.sources.base import VideoSource
from tbe.data.sources.class_names import class_names
from tbe.data.sources.records import Records
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.features import Features
from tbe.evaluation.metrics import hit_rates, mean_average_precision
from tbe.evaluation.neighbors import METRICS, PRECISIONS, exact_search, nearest, nearest_by_faiss
from tbe.evaluation.neighbors.faiss_search import load_faiss
from tbe.evaluation.tasks.base import Evaluation
from tbe.viz.film_strips import FRAME_HEIGHT, Strip, draw, load_strips, save_strips

BACKENDS = ("torch", "faiss")
USUAL_KS = (1, 5, 10, 20, 50)
NUM_FRAMES = 4
NUM_NEIGHBORS = 5
NUM_BESIDE = 2  # neighbors per checkpoint in the picture that compares several
KEPT = "neighbors.npz"


@dataclass(frozen=True)
class Retrieval:
    """Measures R@k and mean average precision (mAP), in percent, of the query split against the gallery split.

    ks: None for those of `USUAL_KS` up to the number of videos. metric: cosine or euclidean. leave_one_out: each query
    split is its own gallery. If gallery and query split share videos, each query is excluded from its own results.
    backend: torch or faiss; precision: of torch's products, fp32 or bf16. Both affect R@k only: mAP needs the whole
    ranking, by torch. Runs on a GPU if its memory suffices, equally exactly. Draws `pictures` queries, spread evenly
    over the split, with their nearest neighbors and similarities (cosine or distance) into
    `retrieval/<name>[/<split>]/neighbors.png`; for several checkpoints also the same queries with the neighbors of
    each, side by side, into `retrieval/[<split>_]side_by_side.png`.
    """

    ks: tuple[int, ...] | None = None
    metric: str = "cosine"
    leave_one_out: bool = False
    pictures: int = 8
    backend: str = "torch"
    precision: str = "fp32"

    def __post_init__(self):
        if self.ks is not None and (not self.ks or min(self.ks) < 1):
            raise UserError(f"retrieval: expected ks to be numbers above 0, got {list(self.ks)}")
        for key, choices in (("metric", METRICS), ("backend", BACKENDS), ("precision", PRECISIONS)):
            if getattr(self, key) not in choices:
                raise UserError(
                    f"retrieval: expected {key} to be one of {', '.join(choices)}, got {getattr(self, key)!r}"
                )
        if self.backend == "faiss":
            load_faiss()
            if self.precision != "fp32":
                raise UserError(f"retrieval: expected precision=fp32 with backend=faiss, got {self.precision!r}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            searched = split if self.leave_one_out else evaluation.gallery
            gallery, queries = evaluation.features(searched), evaluation.features(split)
            excluded = evaluation.same_videos(split, searched)
            candidates = len(gallery.labels) - int(excluded.counts(len(queries.labels)).max())
            ks = self._ks(candidates, searched, bool(excluded))
            most = max(*ks, min(NUM_NEIGHBORS, candidates))
            with exact_search(evaluation.trainer.strategy.root_device, queries.vectors, gallery.vectors) as device:
                asked, kept = (Features(*(part.to(device) for part in found)) for found in (queries, gallery))
                near, indices = self._search(asked.vectors, kept.vectors, most, self.metric, excluded)
                precision = mean_average_precision(*asked, *kept, self.metric, excluded)
            found = near.cpu(), indices.cpu()
            recalls = hit_rates(found[1], queries.labels, gallery.labels, ks)
            metrics |= {evaluation.key(f"retrieval/R@{k}", split): value for k, value in recalls.items()}
            metrics[evaluation.key("retrieval/mAP", split)] = precision
            if self.pictures and rank() == 0:
                self._draw(evaluation, split, searched, queries, gallery, found)
        return metrics

    @property
    def _search(self) -> Callable[..., tuple[Tensor, Tensor]]:
        return nearest_by_faiss if self.backend == "faiss" else partial(nearest, precision=self.precision)

    def _ks(self, candidates: int, searched: str, is_shared: bool) -> tuple[int, ...]:
        """Returns the k to measure; raises UserError if some k exceeds the size of the gallery."""
        besides = " besides the query itself" if is_shared else ""
        if self.ks is None:
            return tuple(k for k in USUAL_KS if k <= candidates)
        if max(self.ks) > candidates:
            raise UserError(
                f"retrieval: expected ks up to {candidates}, the videos of {searched}{besides}, got "
                f"{list(self.ks)}. Set smaller ones (tasks.retrieval.ks=[...]), or null for the usual ones"
            )
        return tuple(self.ks)

    def _draw(
        self,
        evaluation: Evaluation,
        split: str,
        searched: str,
        queries: Features,
        gallery: Features,
        found: tuple[Tensor, Tensor],
    ) -> None:
        near, indices = (part[:, :NUM_NEIGHBORS] for part in found)
        count = min(self.pictures, len(queries.labels))
        data = evaluation.datamodule
        records, others = data.source.records(split), data.source.records(searched)
        names = class_names(data.source, records)
        shown = np.linspace(0, len(queries.labels) - 1, count).round().astype(int)
        scenes, other_scenes = (_scenes(data.source, part) for part in (split, searched))
        asked = _frames(data, records.select(shown))
        answers = _frames(data, others.select(indices[shown].flatten().numpy()))
        rows = []
        for query in shown.tolist():
            label = int(queries.labels[query])
            row = [Strip(next(asked), f"query: {names[label]}{scenes(query)}")]
            for index, nearness in zip(indices[query].tolist(), near[query].tolist(), strict=True):
                other = int(gallery.labels[index])
                title = f"{abs(nearness):#.3g} {names[other]}{other_scenes(index)}"
                row.append(Strip(next(answers), title, other == label))
            rows.append(row)
        folder = evaluation.folder / evaluation.key(f"retrieval/{evaluation.name}", split)
        folder.mkdir(parents=True, exist_ok=True)
        draw(rows, folder / "neighbors.png")
        save_strips(rows, folder / KEPT)

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Draws the queries with the neighbors found by each checkpoint, as stored by `run`."""
        top = folder / "retrieval"
        for file in sorted((top / next(iter(rows))).rglob(KEPT)):
            split = file.parent.relative_to(top / next(iter(rows))).as_posix()
            files = {name: top / name / split / KEPT for name in rows}
            found = {name: load_strips(kept) for name, kept in files.items() if kept.exists()}
            if len(found) > 1:
                beside = [_beside(dict(zip(found, row, strict=True))) for row in zip(*found.values(), strict=True)]
                draw(beside, top / f"{'' if split == '.' else f'{split}_'}side_by_side.png")


def _beside(rows: dict[str, list[Strip]]) -> list[Strip]:
    """Returns the query, then the first neighbors of each checkpoint, named in the title of the first."""
    line = next(iter(rows.values()))[:1]
    for name, (_, *neighbors) in rows.items():
        first, *others = neighbors[:NUM_BESIDE]
        line += [first._replace(title=f"{name}: {first.title}"), *others]
    return line


def _scenes(source: VideoSource, split: str) -> Callable[[int], str]:
    """Returns a function from a row to its scene for titles; to '' if the data has no scenes."""
    scenes = source.scenes(split)
    return lambda index: "" if scenes is None else f" · scene {int(scenes[index])}"


def _frames(datamodule: VideoDataModule, records: Records) -> Iterator[np.ndarray]:
    """Yields frames spread over each video, uint8 (NUM_FRAMES, H, W, C)."""
    return (frames.permute(0, 2, 3, 1).numpy() for frames in datamodule.frames(records, NUM_FRAMES, FRAME_HEIGHT))
