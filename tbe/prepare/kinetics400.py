"""Lists of Kinetics-400 from its official csv files.

Expects csv files whose header has label, youtube_id, time_start, time_end and split. Writes <split>.txt for each split
in them and classes.txt; paths are <class>/<youtube_id>_<start>_<end>.mp4, with six digits a time. Copies of Kinetics
differ: with --root only the videos that exist are listed. Labels follow the label map, or else the sorted class names.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from tbe.prepare.base import Row, add_out, csv_rows, expect_files, is_count, numbered_lines, swapped, write_lists

COLUMNS = ["label", "youtube_id", "time_start", "time_end", "split"]
SPLITS = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
OFFICIAL = {"train": 246535, "val": 19906}
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)


class Clip(NamedTuple):
    """A row of the csv."""

    place: str
    label: str
    name: str  # of the file, without its suffix
    split: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this data set."""
    help = "one or more csv files, such as train.csv val.csv"
    parser.add_argument("--annotations", required=True, nargs="+", type=Path, metavar="CSV", help=help)
    add_out(parser, "kinetics400")
    parser.add_argument("--root", type=Path, help="the folder of the videos: lists only those that exist below it")
    parser.add_argument("--label-map", type=Path, metavar="TXT", help="a class a line, in the order of their labels")
    parser.add_argument("--flat", action="store_true", help="the videos lie in one folder, not in one a class")
    parser.add_argument("--suffix", default=".mp4", help="what follows a video's name (%(default)s)")


def run(chosen: argparse.Namespace) -> None:
    """Writes the lists and prints how many videos each has."""
    for file in [*chosen.annotations, *([chosen.label_map] if chosen.label_map else [])]:
        expect_files(file.parent, [file.name])
    clips = [clip for file in chosen.annotations for clip in clips_of(file)]
    labels = read_label_map(chosen.label_map) if chosen.label_map else sorted_labels(clips)
    lists: dict[str, dict[Row, None]] = {}  # a row that is repeated counts once
    for clip in clips:
        if clip.label not in labels:
            raise ValueError(f"{clip.place}: expected a class of {chosen.label_map}, got {clip.label!r}")
        path = clip.name + chosen.suffix if chosen.flat else f"{clip.label}/{clip.name}{chosen.suffix}"
        lists.setdefault(clip.split, {})[path, labels[clip.label]] = None
    rows = {split: list(videos) for split, videos in lists.items()}
    num_repeated = len(clips) - sum(len(videos) for videos in rows.values())
    if num_repeated:
        print(f"{num_repeated} rows are repeated and count once")
    if chosen.root:
        rows = existing_videos(rows, chosen.root)
    write_lists("kinetics400", chosen.out, rows, list(labels), OFFICIAL)


def clips_of(file: Path) -> list[Clip]:
    """The rows of a csv, whatever the order of its columns."""
    rows = csv_rows(file, ",")
    place, header = next(rows, (f"{file}:1", []))
    if missing := [name for name in COLUMNS if name not in header]:
        wanted = f"a header with {', '.join(COLUMNS)}"
        raise ValueError(f"{place}: expected {wanted}; missing {', '.join(missing)} in {','.join(header)!r}")
    clips = []
    for place, fields in rows:
        if len(fields) != len(header):
            raise ValueError(f"{place}: expected {len(header)} fields like the header, got {','.join(fields)!r}")
        clips.append(_clip(place, dict(zip(header, fields, strict=True))))
    return clips


def read_label_map(file: Path) -> dict[str, int]:
    """Class name -> label, its line from 0."""
    labels: dict[str, int] = {}
    for place, name in numbered_lines(file):
        if name in labels:
            raise ValueError(f"{place}: expected each class once, got {name!r} again")
        labels[name] = len(labels)
    return labels


def sorted_labels(clips: list[Clip]) -> dict[str, int]:
    """Class name -> label, its place among the sorted names."""
    return {name: label for label, name in enumerate(sorted({clip.label for clip in clips}))}


def existing_videos(lists: dict[str, list[Row]], root: Path) -> dict[str, list[Row]]:
    """The rows whose file exists below root; prints how many of each list are found and missing."""
    existing = {}
    for name, rows in lists.items():
        found = [row for row in rows if (root / row[0]).is_file()]
        print(f"{root}: {len(found)} of the {len(rows)} {name} videos found, {len(rows) - len(found)} missing")
        if found:
            existing[name] = found
    if not existing:
        likely = next(iter(lists.values()), [("",)])[0][0]
        raise FileNotFoundError(f"{root}: expected videos like {likely!r}, found none. See --flat and --suffix.")
    return existing


def _clip(place: str, row: dict[str, str]) -> Clip:
    start, end = row["time_start"], row["time_end"]
    if not YOUTUBE_ID.fullmatch(row["youtube_id"]) or not row["label"]:
        hint = swapped(bool(YOUTUBE_ID.fullmatch(row["label"])))
        raise ValueError(
            f"{place}: expected a label and a youtube_id of 11 characters, got {list(row.values())}.{hint}"
        )
    if not is_count(start) or not is_count(end) or int(start) >= int(end):
        hint = swapped(is_count(start) and is_count(end))
        raise ValueError(f"{place}: expected seconds time_start < time_end, got {start!r} and {end!r}.{hint}")
    if row["split"] not in SPLITS:
        raise ValueError(f"{place}: expected a split among {', '.join(SPLITS)}, got {row['split']!r}")
    return Clip(place, row["label"], f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}", SPLITS[row["split"]])
