"""Activation map task: draws where a network looks and measures how much of that is the actor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tbe.data.prediction import PredictionData
from tbe.data.sources.class_names import class_names, display_path
from tbe.data.sources.records import Records
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.cam.dataset import middle_clips
from tbe.evaluation.tasks.cam.drawing import Films, draw, load, save
from tbe.evaluation.tasks.cam.extraction import Mapper, Maps
from tbe.evaluation.tasks.cam.maps import KINDS
from tbe.viz.to_rgb import pixels


@dataclass(frozen=True)
class Cam:
    """Draws and measures maps over the middle clips of the query split: class, energy and similarity to the clip.

    kinds: some of `KINDS`; None for all that apply (class needs a trained head). Draws `videos` of each split below
    `cam/<name of the checkpoint>`, as `<split>.gif`, `.mp4` and `.png`, each map rescaled from dark (minimum) to
    yellow (maximum); for several checkpoints also `cam/<split>_<kind>.gif` and so on. Measures `measured` videos; both
    are spread evenly. Metrics, in percent, averaged over videos with any foreground: `cam/foreground_area`, the
    fraction of the clip that is the actor (by true masks if known, else what moves); `cam/foreground_share/<kind>`,
    the fraction of the map that lies on it; `cam/foreground_ratio/<kind>`, share / area, which is 1 for a uniform map.
    fps: of the animations.
    """

    kinds: tuple[str, ...] | None = None
    videos: int = 6
    measured: int = 64
    fps: float = 8.0

    def __post_init__(self):
        unknown = [kind for kind in self.kinds or () if kind not in KINDS]
        if unknown:
            raise UserError(f"cam: expected kinds among {', '.join(KINDS)}, got {', '.join(unknown)}")
        if not (0 <= self.videos <= self.measured and self.measured):
            raise UserError(f"cam: expected 0 <= videos <= measured, got {self.videos} and {self.measured}")

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        backbone = evaluation.require_backbone("cam")
        head = None if evaluation.classifier is None else evaluation.classifier.head
        kinds = self._kinds(evaluation)
        data = evaluation.datamodule
        metrics: dict[str, float] = {}
        for split in evaluation.queries:
            data.prepare_data()
            records = data.source.records(split)
            measured = spread(np.arange(len(records)), self.measured)
            drawn = spread(measured, self.videos)
            mapper = Mapper(backbone, head, kinds, drawn)
            clips = PredictionData(data, partial(middle_clips, data, split, measured))
            evaluation.trainer.predict(mapper, datamodule=clips, return_predictions=False)
            metrics |= {evaluation.key(name, split): value for name, value in summarized(mapper.found).items()}
            if self.videos and rank() == 0:
                # A trainer may be limited to some of the videos.
                self._write(evaluation, split, mapper.found, records.select(mapper.found.drawn.numpy()))
        return metrics

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Draws maps of each kind for all checkpoints side by side, from the files that `run` wrote."""
        folders = {name: folder / "cam" / name for name in rows}
        for file in next(iter(folders.values())).glob("*.npz"):
            films = {name: load(found / file.name) for name, found in folders.items()}
            for kind in KINDS:
                heat = {name: film.heat[kind] for name, film in films.items() if kind in film.heat}
                if len(heat) > 1:
                    draw(folder / "cam" / f"{file.stem}_{kind}", next(iter(films.values())), heat, self.fps)

    def _kinds(self, evaluation: Evaluation) -> list[str]:
        known = [kind for kind in KINDS if kind != "class" or evaluation.classifier is not None]
        kinds = list(self.kinds or known)
        missing = [kind for kind in kinds if kind not in known]
        if missing:
            raise UserError(
                f"cam: kinds={kinds}: expected a checkpoint with a trained head, got {evaluation.name!r}, "
                "which has none"
            )
        return kinds

    def _write(self, evaluation: Evaluation, split: str, found: Maps, records: Records) -> None:
        folder = evaluation.folder / "cam" / evaluation.name
        folder.mkdir(parents=True, exist_ok=True)
        names = class_names(evaluation.datamodule.source, records)
        augment: Any = evaluation.datamodule.eval_views.augment
        answers = names if evaluation.knows_the_classes() else []  # else of the head's own classes
        rows = zip(records.labels, found.predicted, records.paths, strict=True)
        titles = [_title(names, answers, *row) for row in rows]
        heat = {kind: maps.numpy() for kind, maps in found.heat.items()}
        films = Films(pixels(found.clips, augment.mean, augment.std), heat, titles)
        save(folder / f"{split}.npz", films)
        draw(folder / split, films, {KINDS[kind]: maps for kind, maps in heat.items()}, self.fps)


def spread(indices: np.ndarray, most: int) -> np.ndarray:
    """Returns at most `most` of these indices, spread evenly."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, most).round().astype(int))]


def summarized(found: Maps) -> dict[str, float]:
    """Computes the metrics of the measured videos."""
    has_foreground = found.area > 0
    area = found.area[has_foreground].mean().item()
    shares = {kind: values[has_foreground].mean().item() for kind, values in found.shares.items()}
    return {
        "cam/foreground_area": area,
        **{f"cam/foreground_share/{kind}": share for kind, share in shares.items()},
        **{f"cam/foreground_ratio/{kind}": share / area if area else torch.nan for kind, share in shares.items()},
    }


def _title(names: list[str], answers: list[str], label: int, predicted: torch.Tensor, path: bytes) -> str:
    """Returns the title of a video: its class, the predicted one of `answers`, and its path."""
    lines = [names[label]] if 0 <= label < len(names) else []
    if predicted >= 0:
        lines.append(f"taken for: {answers[predicted] if predicted < len(answers) else f'class {int(predicted)}'}")
    return "\n".join([*lines, display_path(path)])
