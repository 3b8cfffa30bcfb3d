"""Writes the list of SCUBA or ConflFG, test videos on other backgrounds, as a split of HMDB51, UCF101 or Kinetics-400.

Expects a list with lines '<video>__<number> <num_frames> <label>', labels from 0 in the order of the data set's
classes, and --root, where each <video>__<number> is a folder of frames: frame000001.jpg, ... for HMDB51 and UCF101,
000001.jpg, ... for Kinetics-400. Parent folders in the list are ignored if they do not exist. A label must agree with
that of the video in --list, if it has the video. Writes <name>.txt with the videos that exist.

  python eval.py task=[linear,test] data=hmdb51 +data.splits.scuba=scuba.txt query=[test,scuba] \\
    reader=mixed reader.folders.template=frame%06d.jpg

SCUFO is not published: it repeats one random frame of each clip of SCUBA. `robustness/static` of task=robustness
query=scuba is similar, with the middle frame. ConflFG has two lists, dynamic_... and static_..., of the same videos:
run the command once for each, with a --name. Li et al., ICCV 2023 (arXiv:2211.12883).

Uncertain: this follows the code and configs of the repository lihaoxin05/StillMix, and was not checked against the
downloads; of ConflFG there is only the reading code, and its columns are assumed to be the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

from tbe.errors import MissingFile, UserError
from tbe.prepare.common import Row, existing_videos, expect_files, is_count, numbered_lines
from tbe.prepare.common.further_splits import add_list, check_folder, own_labels, write_split

FORM = "<video>__<number> <num_frames> <label>"
TEMPLATES = {"frame000001.jpg": "frame%06d.jpg", "000001.jpg": "%06d.jpg"}  # by the name of the first frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    help = "the published list, such as testlist01.txt"
    parser.add_argument("--annotations", required=True, type=Path, metavar="TXT", help=help)
    parser.add_argument("--root", required=True, type=Path, help="the folder of the folders of frames")
    add_list(parser)
    parser.add_argument("--name", default="scuba", help="name of the split and its list (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Writes the list and prints its number of videos."""
    expect_files(args.annotations.parent, [args.annotations.name])
    check_folder(args.root, "the videos")
    labels = {PurePosixPath(video).name: label for video, label in own_labels(args.list).items()}
    rows, num_checked = rows_of(args.annotations, args.root, labels)
    print(f"{args.list}: has the videos of {num_checked} of {len(rows)} rows, with the same labels")
    rows = existing_videos({args.name: rows}, args.root)[args.name]
    template = template_of(args.root / rows[0][0])
    file = (args.out or args.list.parent) / f"{args.name}.txt"
    write_split(file, rows, args.root, f"reader=mixed reader.folders.template={template}")


def rows_of(file: Path, root: Path, labels: dict[str, int]) -> tuple[list[Row], int]:
    """Returns the path and label of each line, and how many labels were compared; labels: by video name."""
    rows, num_checked = [], 0
    for place, text in numbered_lines(file):
        path, *numbers = text.rsplit(None, 2)
        if len(numbers) != 2 or not all(map(is_count, numbers)):
            raise UserError(f"{place}: expected '{FORM}', got {text!r}")
        label, name = int(numbers[1]), PurePosixPath(path).name
        video = name.rpartition("__")[0]
        if labels.get(video, label) != label:
            raise UserError(f"{place}: expected the label {labels[video]}, as --list has it for {video}, got {label}")
        num_checked += video in labels
        rows.append((path if (root / path).is_dir() else name, label))
    return rows, num_checked


def template_of(folder: Path) -> str:
    """Returns the template of the frames' names in a folder; raises MissingFile if it matches none."""
    for first, template in TEMPLATES.items():
        if (folder / first).is_file():
            return template
    raise MissingFile(f"{folder}: expected {' or '.join(TEMPLATES)}, got neither")
