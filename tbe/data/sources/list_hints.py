"""What a list of another form than `path label [num_frames]` looks like: hints that end an error's message."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from tbe.data.sources.suffixes import VIDEO_SUFFIXES
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import text_of

ORDER = "the order is path, label, num_frames"
HEADINGS = {"path", "paths", "video", "video_path", "file", "filename", "name", "id", "frame_path"}
HEADINGS |= {"label", "labels", "class", "class_id", "target", "frames", "num_frames", "n_frames", "nframes"}
QUOTES = "\"'"
SEPARATED = re.compile(rf"""([,;])\s*["']?(\d+|{"|".join(HEADINGS)})["']?\Z""", re.IGNORECASE)
LABEL_FIRST = re.compile(r"\d+\s+\S")
NAME_AFTER_FILE = re.compile(
    rf"(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})['\"]?\s+([^\W\d][^./]*?)(?:\s+\d+)?\Z", re.IGNORECASE
)
CLASSES = "classes.txt"  # what `python -m tbe.prepare` writes beside the lists, a line a class


def hint_of_line(line: str, file: str | os.PathLike) -> str:
    """What a line of this file that is no row of a list looks like; empty when like nothing known."""
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
    """Says that a path is in quotes, where no file is named with them; empty otherwise."""
    is_quoted = len(path) > 1 and path[0] == path[-1] and path[0] in QUOTES
    if is_quoted and not os.path.exists(os.path.join(root, path)):
        return " The path is in quotes: write it without, spaces or not."
    return ""


def hint_of_path(path: str, root: str | os.PathLike, file: str | os.PathLike) -> str:
    """What the path of the first row looks like, when it can be no path; empty when it can."""
    if path.endswith((",", ";")):
        return f" The columns look separated by '{path[-1]}': separate them by spaces."
    # A name may begin with a number and a space: only the files can tell.
    if LABEL_FIRST.match(path) and not os.path.exists(os.path.join(root, path)):
        rest = path.split(None, 1)[1]
        if os.path.exists(os.path.join(root, rest)):
            return f" The columns look like label, path, num_frames ({rest!r} exists): {ORDER}."
    if (named := NAME_AFTER_FILE.search(path)) and not os.path.exists(os.path.join(root, path)):
        return _hint_of_name(named[1], file)
    return hint_of_quotes(path, root)


def frames_before_labels(second: np.ndarray, third: np.ndarray) -> bool:
    """Whether columns look like num_frames and label: the third has zeros, as no number of frames is, the second none.

    The third must also hold every number up to its largest, as labels do, or nothing above the second's largest: a list
    that says 0 where the number of frames is unknown is none of these.
    """
    found = np.unique(third)
    if len(found) < 2 or found[0] != 0 or second.min() == 0:
        return False
    return len(found) == found[-1] + 1 or found[-1] <= second.max()


def frames_before_labels_of_folders(folders: np.ndarray, second: np.ndarray, third: np.ndarray) -> bool:
    """Whether columns look like num_frames and label: the third has one number for each folder, the second several.

    folders: of the videos, two or more. Videos of one length, or folders that are no classes, are none of these.
    """
    names, of_row = np.unique(folders, return_inverse=True)
    pairs = np.unique(np.stack([of_row, third]), axis=1)
    one_to_one = pairs.shape[1] == len(names) == len(np.unique(third))
    return one_to_one and len(names) > 1 and np.unique(np.stack([of_row, second]), axis=1).shape[1] > len(names)


def hint_of_labels(labels: np.ndarray, num_frames: np.ndarray, paths: TextColumn, num_classes: int) -> str:
    """Why labels may lie outside [0, num_classes); empty when for no known reason."""
    if labels.min() > 0 and labels.max() == num_classes:
        return f" They run from {labels.min()} to {num_classes} and look counted from 1: subtract 1."
    if len(np.unique(num_frames)) > 1 and num_frames.max() < num_classes:
        return f" The columns look like path, num_frames, label: {ORDER}."
    first_words = [path.split(None, 1)[0] for path in paths.tolist()]
    if all(word.isdigit() and int(word) < num_classes for word in first_words):
        return f" The columns look like label, path: {ORDER}."
    return ""


def _hint_of_name(name: str, file: str | os.PathLike) -> str:
    """That a class is named where its number belongs, and which that is where the file of classes says it."""
    hint = f" {name!r} looks like the name of a class: write its number, from 0"
    classes = Path(file).with_name(CLASSES)
    names = [line.strip() for line in text_of(classes, errors="replace").splitlines()] if classes.is_file() else []
    return f"{hint}, {names.index(name)} as {CLASSES} beside the list has it." if name in names else f"{hint}."
