"""Reads actor boxes of a video and interpolates them between the frames that have one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tbe.data.sources.text_files import csv_rows, read_json
from tbe.errors import MissingFile, UserError

FORM = "<frame>,x1,y1,x2,y2"
Boxes = dict[int, np.ndarray]  # frame -> left, top, right, bottom in pixels


def read_boxes(folder: Path, name: str) -> Boxes:
    """Reads <name>.csv or <name>.json, one box around all boxes of a frame; raises UserError for another format."""
    files = [folder / f"{name}{suffix}" for suffix in (".csv", ".json")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise MissingFile(f"{files[0]}: expected boxes there or as .json, got neither")
    boxes: Boxes = {}
    for place, row in csv_boxes(file) if file.suffix == ".csv" else json_boxes(file):
        frame, box = parse_box(place, row)
        if frame in boxes:
            box = np.concatenate([np.minimum(boxes[frame][:2], box[:2]), np.maximum(boxes[frame][2:], box[2:])])
        boxes[frame] = box
    if not boxes:
        raise UserError(f"{file}: expected at least one box, got none")
    return boxes


def csv_boxes(file: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yields the place and fields of each row of a csv file, without its header."""
    for number, (place, fields) in enumerate(csv_rows(file, ",")):
        if number or fields[0] != FORM.split(",")[0].strip("<>"):
            yield place, fields


def json_boxes(file: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yields the place and values of each row of a json file: a list of rows, or an object of frames."""
    content = read_json(file)
    if isinstance(content, dict) and all(isinstance(boxes, list) for boxes in content.values()):
        content = [[frame, *box] if isinstance(box, list) else box for frame, boxes in content.items() for box in boxes]
    if not isinstance(content, list):
        raise UserError(f"{file}: expected a list of rows [{FORM}], or an object of frames, got {str(content)[:100]}")
    yield from ((f"{file}: box {number}", row) for number, row in enumerate(content, start=1))


def parse_box(place: str, row: Any) -> tuple[int, np.ndarray]:
    """Returns the frame and the box (4,) of a row; raises UserError, naming `place`, if it is invalid."""
    try:
        frame, *box = (float(value) for value in row)
        left, top, right, bottom = box
    except (TypeError, ValueError) as error:
        raise UserError(f"{place}: expected {FORM}, got {row}") from error
    is_box = max(left, 0) < right < np.inf and max(top, 0) < bottom < np.inf
    if not is_box or frame < 0 or frame != int(frame):
        raise UserError(f"{place}: expected {FORM} with a frame from 0, x1 < x2 and y1 < y2, got {row}")
    return int(frame), np.array(box)


def interpolate_boxes(boxes: Boxes, frames: np.ndarray) -> np.ndarray:
    """Returns boxes (n, 4) of these frames: linear between known ones, constant before the first and after the last."""
    known = sorted(boxes)
    return np.stack([np.interp(frames, known, [boxes[frame][side] for frame in known]) for side in range(4)], axis=1)
