"""Writes the lists of Something-Something V2 from its official json files.

Expects labels.json (template -> label), train.json and validation.json with entries of id and template, and test.json
if it has templates; each with or without the prefix something-something-v2-. Writes train.txt, val.txt (and test.txt)
for those that exist, and classes.txt; paths are <id>.webm. A class is named by its template without brackets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import MissingFile, UserError
from tbe.prepare.common import (
    Row,
    add_annotations,
    add_out,
    existing_parts,
    is_count,
    json_entries,
    read_json,
    swapped,
    write_lists,
)

PARTS = {"train": "train.json", "val": "validation.json", "test": "test.json"}
OFFICIAL = {"train": 168913, "val": 24777}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this data set."""
    add_annotations(parser, "labels.json, train.json, validation.json")
    add_out(parser, "something_v2")
    parser.add_argument("--suffix", default=".webm", help="suffix of the video files (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    labels_file = existing_parts(args.annotations, {"classes": _names("labels.json")})["classes"]
    files = existing_parts(args.annotations, {part: _names(name) for part, name in PARTS.items()})
    if "test" in files and not _is_labeled(files["test"]):
        print(f"{files.pop('test')}: its videos have no label, so no test.txt")
    if not files:
        raise MissingFile(f"{args.annotations}: expected a file with labels, train.json or validation.json")
    labels = read_labels(labels_file)
    lists = {part: rows_of(file, labels, args.suffix) for part, file in files.items()}
    write_lists("something_v2", args.out, lists, list(labels), OFFICIAL)


def read_labels(file: Path) -> dict[str, int]:
    """Reads class name -> label, in the order of the labels; raises UserError unless they are 0, 1, 2, ..."""
    published = read_json(file)
    if not isinstance(published, dict) or not published:
        raise UserError(f"{file}: expected an object of '<template>': '<label>', got {str(published)[:200]}")
    for name, label in published.items():
        if not is_count(str(label)):
            hint = swapped(is_count(name))
            raise UserError(f"{file}: expected a whole number for {name!r}, got {label!r}.{hint}")
    labels = {name: int(published[name]) for name in sorted(published, key=lambda name: int(published[name]))}
    if list(labels.values()) != list(range(len(labels))):
        missing = min(set(range(len(labels))) - set(labels.values()))
        raise UserError(f"{file}: expected each label from 0 to {len(labels) - 1} once, got none with {missing}")
    return labels


def rows_of(file: Path, labels: dict[str, int], suffix: str) -> list[Row]:
    """Reads the path and label of each entry."""
    rows = []
    for place, entry in json_entries(file, {"id": str, "template": str}):
        name = entry["template"].replace("[", "").replace("]", "")
        if name not in labels:
            raise UserError(f"{place}: expected a template of the labels' file, got {entry['template']!r}")
        if not is_count(entry["id"]):
            raise UserError(f"{place}: expected a whole number as id, got {entry['id']!r}")
        rows.append((entry["id"] + suffix, labels[name]))
    return rows


def _names(name: str) -> list[str]:
    return [f"something-something-v2-{name}", name]


def _is_labeled(file: Path) -> bool:
    return any("template" in entry for _, entry in json_entries(file, {"id": str}))
