"""What a list of another form than `path label [num_frames]` looks like: hints that end an error's message."""

from __future__ import annotations

import os
import re

import numpy as np

ORDER = "the order is path, label, num_frames"
HEADINGS = {"path", "paths", "video", "video_path", "file", "filename", "name", "id", "frame_path"}
HEADINGS |= {"label", "labels", "class", "class_id", "target", "frames", "num_frames", "n_frames", "nframes"}
SEPARATED = re.compile(rf"""([,;])\s*["']?(\d+|{"|".join(HEADINGS)})["']?\Z""", re.IGNORECASE)
LABEL_FIRST = re.compile(r"\d+\s+\S")


def hint_of_line(line: str) -> str:
    """What a line that is no row of a list looks like; empty when like nothing known."""
    hints = ""
    if {word.strip("'\"").lower() for word in re.split(r"[\s,;]+", line)} <= HEADINGS:
        hints += " It looks like a header: remove it, or start it with '#'."
    if separated := SEPARATED.search(line):
        hints += f" The columns look separated by '{separated[1]}': separate them by spaces."
    elif LABEL_FIRST.match(line):
        hints += f" The path looks to come last: {ORDER}."
    return hints


def hint_of_path(path: str, root: str | os.PathLike) -> str:
    """What the path of the first row looks like, when it can be no path; empty when it can."""
    if path.endswith((",", ";")):
        return f" The columns look separated by '{path[-1]}': separate them by spaces."
    # A name may begin with a number and a space: only the files can tell.
    if LABEL_FIRST.match(path) and not os.path.exists(os.path.join(root, path)):
        rest = path.split(None, 1)[1]
        if os.path.exists(os.path.join(root, rest)):
            return f" The columns look like label, path, num_frames ({rest!r} exists): {ORDER}."
    return ""


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


def hint_of_labels(labels: np.ndarray, num_frames: np.ndarray, paths: np.ndarray, num_classes: int) -> str:
    """Why labels may lie outside [0, num_classes); empty when for no known reason."""
    if labels.min() > 0 and labels.max() == num_classes:
        return f" They run from {labels.min()} to {num_classes} and look counted from 1: subtract 1."
    if len(np.unique(num_frames)) > 1 and num_frames.max() < num_classes:
        return f" The columns look like path, num_frames, label: {ORDER}."
    first_words = [path.split(None, 1)[0] for path in paths.tolist()]
    if all(word.isdigit() and int(word) < num_classes for word in first_words):
        return f" The columns look like label, path: {ORDER}."
    return ""
