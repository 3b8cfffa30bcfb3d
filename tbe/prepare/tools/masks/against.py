"""Compares masks with true ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from tbe.prepare.common.decoding import opened_video
from tbe.prepare.common.making import mp4_name
from tbe.prepare.common.mattes import opened_matte, paired, with_mattes
from tbe.prepare.common.parts import whole
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import work_through

ABOVE = 127  # level of a matte: what is more than half covered counts


class Agreement(NamedTuple):
    """Shares of pixels over all frames of a video: intersection over union, precision and recall."""

    iou: float
    precision: float
    recall: float


class AgreementRow(NamedTuple):
    """A row of masks_iou.csv."""

    path: str
    status: str
    iou: float = 0.0
    precision: float = 0.0
    recall: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Comparing:
    """Compares the masks of a video below `made` with the true ones below `truth`, scaled to their size.

    margin: lowest rows of the picture that do not count, for truths that leave them out.
    """

    made: Path
    truth: Path
    margin: int = 0

    def __call__(self, path: str) -> Agreement:
        both = either = found = true = 0
        reformatter = VideoReformatter()
        with opened_video(self.made / mp4_name(path)) as masks, opened_matte(path, self.truth) as truths:
            for mask, other in paired(path, masks.frames, truths):
                scaled = reformatter.reformat(other, mask.width, mask.height, "gray", interpolation="AREA")
                rows = slice(0, mask.height - self.margin)
                one, two = (frame.to_ndarray(format="gray")[rows] > ABOVE for frame in (mask, scaled))
                both, either = both + np.count_nonzero(one & two), either + np.count_nonzero(one | two)
                found, true = found + np.count_nonzero(one), true + np.count_nonzero(two)
        return Agreement(*(round(both / max(1, total), 4) for total in (either, found, true)))


def compare(paths: Sequence[str], args: argparse.Namespace, margin: int = 0) -> list[AgreementRow]:
    """Compares the masks below --out with those below --against, writes masks_iou.csv and prints the means."""
    compared = with_mattes(paths, args.against)
    file = args.out / "masks_iou.csv"
    file.unlink(missing_ok=True)  # masks may have been made again since
    report = Report(file, AgreementRow)

    def row_of(outcome: Outcome) -> AgreementRow:
        agreement = outcome.value or (0.0, 0.0, 0.0)
        return AgreementRow._make((outcome.item, outcome.status, *agreement, outcome.reason))

    work_through("compare", compared, report, Comparing(args.out, args.against, margin), row_of, whole(args))
    rows = [report.rows[path] for path in compared if report.rows[path].status == "ok"]
    if rows:
        print(f"{file}: {summary(rows)}")
    return rows


def summary(rows: Sequence[AgreementRow]) -> str:
    """Returns means over videos, and the worst one, in words."""
    iou, precision, recall = (np.mean([getattr(row, name) for row in rows]) for name in Agreement._fields)
    worst = min(rows, key=lambda row: row.iou)
    return (
        f"IoU {100 * iou:.1f} (mean of {len(rows)} videos; least {100 * worst.iou:.1f}, {worst.path!r}), "
        f"precision {100 * precision:.1f}, recall {100 * recall:.1f}"
    )
