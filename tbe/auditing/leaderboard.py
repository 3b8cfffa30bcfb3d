"""A CSV with one row for each model and data set that was audited, and its table."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from tbe.auditing.record import Audited
from tbe.errors import MissingFile, UserError

# The measures of a row, each with the ends of its interval.
MEASURES = (
    "background_reliance",
    "motion_reliance",
    "clean_top1",
    "own_top1",
    "swap_same_top1",
    "swap_class_top1",
    "sberr",
    "contrasted_top1",
)
KEYS = ("model", "weights", "data", "split", "reader")
HEAD = [
    *KEYS,
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
    *("num_videos", "valid_share", "masks", "tbe", "command"),
]


def append(file: Path, audited: Audited) -> None:
    """Appends a row for each reader; raises UserError if the file has other columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_new = not file.exists() or not file.stat().st_size
    if not is_new:
        read(file)
    with file.open("a", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        if is_new:
            writer.writerow(HEAD)
        writer.writerows(_row(audited, reader) for reader in audited.readers)
        out.flush()
        os.fsync(out.fileno())


def read(file: Path) -> list[dict[str, str]]:
    """Returns the rows of a leaderboard; raises UserError for another file."""
    if not file.is_file():
        raise MissingFile(f"{file}: expected a leaderboard that audits wrote, got no such file")
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if list(reader.fieldnames or []) != HEAD:
            got = ", ".join(list(reader.fieldnames or ["nothing"])[:5])
            raise UserError(f"{file}: expected the columns of an audit's leaderboard, {', '.join(HEAD[:5])}, got {got}")
        return list(reader)


def table(rows: list[dict[str, str]]) -> str:
    """Returns the leaderboard in Markdown, by data set, least reliant on the background first; the newest of each."""
    newest = {tuple(row[key] for key in (*KEYS, "masks")): row for row in rows}
    heads = [
        "model",
        "weights",
        "by",
        "actors",
        *(name.removesuffix("_top1").replace("_", " ") for name in MEASURES),
        "videos",
    ]
    lines = [
        "# Audits",
        "",
        "Percent, 95 % intervals over videos; of several audits of a model the newest. Actors: what counts as them.",
    ]
    for data, split in dict.fromkeys((row["data"], row["split"]) for row in newest.values()):
        of_data = [row for row in newest.values() if (row["data"], row["split"]) == (data, split)]
        lines += [
            "",
            f"## {data}, {split}",
            "",
            f"| {' | '.join(heads)} |",
            "|---|---|---|---|" + "---:|" * (len(heads) - 4),
        ]
        lines += [f"| {' | '.join(_cells(row))} |" for row in sorted(of_data, key=_reliance)]
    return "\n".join(lines) + "\n"


def _row(audited: Audited, reader: str) -> list[str]:
    about, found = audited.about, audited.measures[reader]
    numbers = [f"{value:.4f}" for name in MEASURES for value in found[name]]
    known = [about["model"], audited.weights, about["data"], about["split"], reader]
    rest = [about["num_valid"], f"{about['valid_share']:.1f}", about["masks"], about["versions"]["tbe"]]
    return [*known, *numbers, *map(str, rest), about["command"]]


def _reliance(row: dict[str, str]) -> tuple[bool, float]:
    """Sorts rows by their reliance on the background, those where it is unknown last."""
    value = float(row[MEASURES[0]])
    return value != value, value


def _cells(row: dict[str, str]) -> list[str]:
    numbers = [[float(row[f"{name}{end}"]) for end in ("", "_low", "_high")] for name in MEASURES]
    shown = ["–" if value != value else f"{value:.0f} ({low:.0f}–{high:.0f})" for value, low, high in numbers]
    named = [row[name].replace("|", "\\|") for name in ("model", "weights", "reader", "masks")]
    return [*named, *shown, row["num_videos"]]
