"""Audit task: one card of the background bias of each model."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tbe import runs
from tbe.auditing.answers import Answers
from tbe.auditing.asking import ask
from tbe.auditing.card.html import page
from tbe.auditing.card.markdown import markdown
from tbe.auditing.leaderboard import append
from tbe.auditing.measures import HEADLINES
from tbe.auditing.pictures import write_pictures
from tbe.auditing.record import FOLDER, PICTURES, Audited
from tbe.data.sources.class_names import class_names
from tbe.distributed import rank
from tbe.errors import UserError
from tbe.evaluation.tasks.base import Evaluation
from tbe.evaluation.tasks.linear import LinearProbe

# Not among the metrics, but in audit.json: what follows from two of them, and points of curves.
LEFT_OUT = re.compile(r"_drop$|_beyond_cut$|^(frame|backdrop)_")


@dataclass(frozen=True)
class Audit:
    """Measures how much the answers of a model depend on the background and on the motion, with intervals.

    splits: the query splits to audit, None for all. weights: of the frames and backgrounds that are mixed into clips;
    draws: of the bootstrap over videos; min_videos: fewer with a valid mask are refused; pictures: videos whose clips
    are shown; leaderboard: a CSV to which a row is appended for each model and split, None for none; command: what the
    card says it was made by, None for the command line. Writes `audit/<model>[/<split>]` with `answers.csv`, one line
    per video, from which all numbers follow, and for all models `audit.html` and `audit.md`, with several query splits
    `audit_<split>.html` and so on. Metrics, in percent: `audit/<measure>` by a linear classifier, `audit/head/...` by
    the model's own, as `tbe.auditing.measures.ratios` names them; of the headlines also `_low` and `_high`.
    """

    linear: LinearProbe
    weights: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    draws: int = 2000
    seed: int = 0
    min_videos: int = 10
    pictures: int = 3
    leaderboard: str | None = None
    splits: Sequence[str] | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        if self.draws < 100 or self.min_videos < 2 or self.pictures < 0:
            raise UserError(
                "audit: expected draws of at least 100, min_videos of at least 2 and pictures of at least 0, got "
                f"{self.draws}, {self.min_videos} and {self.pictures}"
            )

    def run(self, evaluation: Evaluation) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for split in self._chosen(evaluation.queries):
            audited = self.audit(evaluation, split)
            for reader, found in audited.measures.items():
                where = FOLDER if reader == "linear" else f"{FOLDER}/{reader}"
                numbers = {name: one.value for name, one in found.items() if not LEFT_OUT.search(name)}
                for name in HEADLINES:
                    numbers |= {f"{name}_low": found[name].low, f"{name}_high": found[name].high}
                metrics |= {evaluation.key(f"{where}/{name}", split): value for name, value in numbers.items()}
            metrics[evaluation.key(f"{FOLDER}/valid_masks", split)] = audited.about["valid_share"]
        return metrics

    def audit(self, evaluation: Evaluation, split: str) -> Audited:
        """Returns the audit of a split, which the first process also writes."""
        answers = ask(evaluation, split, self.linear, self.weights)
        self._check(answers, split)
        folder = evaluation.folder / FOLDER / evaluation.key(evaluation.name, split)
        audited = Audited(answers, self._about(evaluation, split, answers), folder)
        if rank() == 0:
            audited.write(folder)
            if (folder / PICTURES).exists():  # of an audit before, maybe of other videos
                shutil.rmtree(folder / PICTURES)
            if self.pictures:
                write_pictures(evaluation, split, audited.answers, self.pictures, folder / PICTURES)
            if self.leaderboard:
                append(Path(self.leaderboard), audited)
        return audited

    def compare(self, rows: dict[str, dict[str, float]], folder: Path) -> None:
        """Writes a card of all models for each split."""
        found = [Audited.read(file.parent) for file in sorted((folder / FOLDER).rglob("audit.json"))]
        of_models = sorted((one for one in found if one.name in rows), key=lambda one: list(rows).index(one.name))
        splits = list(dict.fromkeys(one.about["split"] for one in of_models))
        for split in splits:
            write_card([one for one in of_models if one.about["split"] == split], folder, split if splits[1:] else "")

    def _chosen(self, queries: Sequence[str]) -> Sequence[str]:
        """Returns the splits to audit; raises UserError for one that is not measured."""
        chosen = queries if self.splits is None else self.splits
        unknown = [split for split in chosen if split not in queries]
        if unknown or not chosen:
            raise UserError(
                f"audit.splits: expected some of the measured splits, {', '.join(queries)}, got "
                f"{', '.join(unknown) or 'none'}: null audits all of them"
            )
        return chosen

    def _check(self, answers: Answers, split: str) -> None:
        """Raises UserError for fewer videos that count than intervals need."""
        num_valid, total = int(answers.facts["is_valid"].sum()), len(answers.paths)
        if num_valid < self.min_videos:
            raise UserError(
                f"audit: expected at least {self.min_videos} videos of {split} with a valid mask, for intervals, got "
                f"{num_valid} of {total} (masks that cover nearly nothing or nearly all of the frame don't count). Add "
                "videos or masks, or set tasks.audit.min_videos=<number>"
            )

    def _about(self, evaluation: Evaluation, split: str, answers: Answers) -> dict[str, Any]:
        data: Any = evaluation.datamodule
        known, valid = answers.facts["is_known"] > 0, answers.facts["is_valid"] > 0
        take = data.eval_clips
        return {
            "model": evaluation.name,
            "data": data.source.name,
            "split": split,
            "gallery": evaluation.gallery,
            "num_videos": len(answers.paths),
            "num_valid": int(valid.sum()),
            "valid_share": 100 * float(valid.mean()),
            "masks": "true masks" if known.any() else "what moves",
            "known_share": 100 * float(known.mean()),
            "classes": list(class_names(data.source, data.source.records(split))),
            "readers": [reader for reader in answers.readers if reader in ("linear", "head")],
            "clips": {"per video": take.num_clips, "frames": take.num_frames, "stride": take.stride},
            "size": getattr(data.eval_views.augment, "size", None),
            "probe": {"strengths": list(self.linear.strengths), "held_out": self.linear.held_out},
            "weights": list(self.weights),
            "draws": self.draws,
            "seed": self.seed,
            "pairs_seed": data.seed,
            "origin": evaluation.origin,
            "backbone": evaluation.backbone_config if isinstance(evaluation.origin, str) else None,  # of random weights
            "versions": runs.versions(),
            "command": self.command or shlex.join(["python", *sys.argv]),
        }


def write_card(audits: list[Audited], folder: Path, split: str = "") -> Path:
    """Writes the card of some models on one split, as HTML and Markdown; returns the HTML file."""
    name = f"{FOLDER}_{split}" if split else FOLDER
    file = folder / f"{name}.html"
    for path, text in ((file, page(audits)), (folder / f"{name}.md", markdown(audits))):
        with runs.replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    return file
