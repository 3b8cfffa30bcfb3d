"""Hints for error messages: what a list that is not `path label [num_frames]` looks like."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import read_text

ORDER = "the order is path, label, num_frames"
HEADINGS = {"path", "paths", "video", "video_path", "file", "filename", "name", "id", "frame_path"}
HEADINGS |= {"label", "labels", "class", "class_id", "target", "frames", "num_frames", "n_frames", "nframes"}
QUOTES = "\"'"
SEPARATED = re.compile(rf"""([,;])\s*["']?(\d+|{"|".join(HEADINGS)})["']?\Z""", re.IGNORECASE)
LABEL_FIRST = re.compile(r"\d+\s+\S")
NAME_AFTER_FILE = re.compile(
    rf"(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})['\"]?\s+([^\W\d][^./]*?)(?:\s+\d+)?\Z", re.IGNORECASE
)
CLASSES = "classes.txt"  # written by `python -m tbe.prepare` beside the lists, one class per line


def hint_of_line(line: str, file: str | os.PathLike) -> str:
    """Returns a hint on what an invalid line of a list looks like; empty if it resembles nothing known."""
    hints = ""
    if {word.strip("'\"").lower() for word in re.split(r"[\s,;]+", line)} <= HEADINGS:
        hints += " It looks like a header: remove it, or start it with '#'."
    if separated := SEPARATED.search(line):
        hints += f" The columns look separated by '{separated[1]}': separate them by spaces."
    elif LABEL_FIRST.match(line):
        hints += f" The path looks to come last: {ORDER}."
    elif named := NAME_AFTER_FILE.search(line):
        hints += _hint_of_name(named[1], file)
    elif line[-1] in QUOTES:
        hints += " The fields are in quotes: write them without."
    return hints


def hint_of_quotes(path: str, root: str | os.PathLike) -> str:
    """Returns a hint that a path is in quotes, unless a file's name has them; empty otherwise."""
    is_quoted = len(path) > 1 and path[0] == path[-1] and path[0] in QUOTES
    if is_quoted and not os.path.exists(os.path.join(root, path)):
        return " The path is in quotes: write it without, spaces or not."
    return ""


def hint_of_path(path: str, root: str | os.PathLike, file: str | os.PathLike) -> str:
    """Returns a hint on what the path of the first row looks like if it can't be a path; empty if it can."""
    if path.endswith((",", ";")):
        return f" The columns look separated by '{path[-1]}': separate them by spaces."
    # A name may begin with a number and a space: only the files on disk decide.
    if LABEL_FIRST.match(path) and not os.path.exists(os.path.join(root, path)):
        rest = path.split(None, 1)[1]
        if os.path.exists(os.path.join(root, rest)):
            return f" The columns look like label, path, num_frames ({rest!r} exists): {ORDER}."
    if (named := NAME_AFTER_FILE.search(path)) and not os.path.exists(os.path.join(root, path)):
        return _hint_of_name(named[1], file)
    return hint_of_quotes(path, root)


def frames_before_labels(second: np.ndarray, third: np.ndarray) -> bool:
    """Checks whether columns look like num_frames, label: the third has zeros, unlike frame counts, the second none.

    The third must also hold every number up to its largest, as labels do, or nothing above the second's largest. This
    excludes lists with 0 for an unknown number of frames.
    """
    values = np.unique(third)
    if len(values) < 2 or values[0] != 0 or second.min() == 0:
        return False
    return len(values) == values[-1] + 1 or values[-1] <= second.max()


def frames_before_labels_of_folders(folders: np.ndarray, second: np.ndarray, third: np.ndarray) -> bool:
    """Checks whether columns look like num_frames, label: the third has one number per folder, the second several.

    folders: those of the videos, two or more. False for videos of equal length, and for folders that are not classes.
    """
    names, of_row = np.unique(folders, return_inverse=True)
    is_several = np.unique(np.stack([of_row, second]), axis=1).shape[1] > len(names)
    return may_be_labels_of_folders(folders, third) and len(names) > 1 and is_several


def may_be_labels_of_folders(folders: np.ndarray, third: np.ndarray) -> bool:
    """Checks whether a column has one number of its own for each folder; false of some rows, it is false of all."""
    names, of_row = np.unique(folders, return_inverse=True)
    return np.unique(np.stack([of_row, third]), axis=1).shape[1] == len(names) == len(np.unique(third))


def hint_of_labels(labels: np.ndarray, num_frames: np.ndarray, paths: TextColumn, num_classes: int) -> str:
    """Returns a hint why labels lie outside [0, num_classes); empty if the reason is unknown."""
    if labels.min() > 0 and labels.max() == num_classes:
        return f" They run from {labels.min()} to {num_classes} and look counted from 1: subtract 1."
    if len(np.unique(num_frames)) > 1 and num_frames.max() < num_classes:
        return f" The columns look like path, num_frames, label: {ORDER}."
    first_words = [path.split(None, 1)[0] for path in paths.tolist()]
    if all(word.isdigit() and int(word) < num_classes for word in first_words):
        return f" The columns look like label, path: {ORDER}."
    return ""


def _hint_of_name(name: str, file: str | os.PathLike) -> str:
    """Returns a hint that a class name stands in place of its number, with that number if classes.txt has it."""
    hint = f" {name!r} looks like the name of a class: write its number, counted from 0"
    classes = Path(file).with_name(CLASSES)
    names = [line.strip() for line in read_text(classes, errors="replace").splitlines()] if classes.is_file() else []
    return f"{hint} ({names.index(name)} in {CLASSES} beside the list)." if name in names else f"{hint}."
