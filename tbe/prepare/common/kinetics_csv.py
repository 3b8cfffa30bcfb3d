"""Reads the csv files of Kinetics and of data sets in its format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tbe.data.sources.text_files import csv_rows
from tbe.errors import UserError
from tbe.prepare.common.published import is_count, swapped

COLUMNS = ["label", "youtube_id", "time_start", "time_end", "split"]
SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)


class Clip(NamedTuple):
    """A row of the csv file."""

    place: str  # 'file:line'
    label: str
    name: str  # file name without suffix
    split: str


def clips_of(file: Path) -> list[Clip]:
    """Reads the rows of a csv file, whatever the order of its columns; raises UserError for invalid ones."""
    rows = csv_rows(file, ",")
    place, header = next(rows, (f"{file}:1", []))
    if missing := [name for name in COLUMNS if name not in header]:
        wanted = f"a header with {', '.join(COLUMNS)}"
        raise UserError(f"{place}: expected {wanted}; missing {', '.join(missing)} in {','.join(header)!r}")
    clips = []
    for place, fields in rows:
        if len(fields) != len(header):
            raise UserError(f"{place}: expected {len(header)} fields like the header, got {','.join(fields)!r}")
        clips.append(_clip(place, dict(zip(header, fields, strict=True))))
    return clips


def _clip(place: str, row: dict[str, str]) -> Clip:
    start, end = row["time_start"], row["time_end"]
    if not YOUTUBE_ID.fullmatch(row["youtube_id"]) or not row["label"]:
        hint = swapped(bool(YOUTUBE_ID.fullmatch(row["label"])))
        raise UserError(f"{place}: expected a label and a youtube_id of 11 characters, got {list(row.values())}.{hint}")
    if not is_count(start) or not is_count(end) or int(start) >= int(end):
        hint = swapped(is_count(start) and is_count(end))
        raise UserError(f"{place}: expected seconds time_start < time_end, got {start!r} and {end!r}.{hint}")
    if row["split"] not in SPLITS:
        raise UserError(f"{place}: expected a split among {', '.join(SPLITS)}, got {row['split']!r}")
    return Clip(place, row["label"], f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}", SPLITS[row["split"]])
