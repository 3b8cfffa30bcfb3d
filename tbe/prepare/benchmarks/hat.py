"""Writes the lists of HAT, videos of Kinetics-400 or UCF101 with people inpainted, as further splits.

Expects its folders below --root, each with <class>/<video>/000001.jpg, ...: ori (frames of the videos) and inp (the
same with people inpainted). Takes the videos of --list that exist, with their labels, and writes hat_original.txt
and hat_background.txt, published as "background only":

  python eval.py task=[linear,test] data=kinetics400 +data.splits.hat_background=hat_background.txt \\
    query=[test,hat_background] reader=mixed reader.folders.template=%06d.jpg

"Human only" is the probe foreground_only of task=robustness query=hat_original, with the published masks, levels 0-255
in seg/<class>/<video>/000001.png, ...: ++data.masks=<root>/seg ++data.mask_above=128. Action swap: see `hat_swap`.
Chung, Wu and Russakovsky, NeurIPS 2022 Datasets and Benchmarks.

Uncertain: the layout follows the code, settings and example video of the repository princetonvisualai/HAT; it was not
checked against the downloads, and that of UCF101 may differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.launch.quoting import override
from tbe.prepare.common import existing_videos
from tbe.prepare.common.further_splits import add_list, check_folder, own_labels, write_split

PARTS = {"hat_original": "ori", "hat_background": "inp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this benchmark."""
    parser.add_argument("--root", required=True, type=Path, help="the folder of ori, inp and seg")
    add_list(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the lists and prints the number of videos of each."""
    check_folder(args.root, "ori, inp and seg")
    labels = own_labels(args.list)
    lists = {name: [(f"{part}/{video}", label) for video, label in labels.items()] for name, part in PARTS.items()}
    for name, rows in existing_videos(lists, args.root).items():
        file = (args.out or args.list.parent) / f"{name}.txt"
        write_split(file, rows, args.root, "reader=mixed reader.folders.template=%06d.jpg")
    masks = args.root / "seg"
    use = f"{override('++data.masks', masks.resolve())} ++data.mask_above=128"
    print(f"masks: {use}" if masks.is_dir() else f"{masks}: no masks found")
