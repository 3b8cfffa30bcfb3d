"""Draws a part of a list with the same share of each class, to learn from few labels.

--fraction takes that share of each class, --per-class that many videos of each; at least one of each class either way.
Which ones follows from --seed and the names of the videos, not from their order in the list. The parts of one seed are
nested: all of the 1 % is in the 10 %. Rows keep their order and their columns.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from tbe.data.sources.records import Records, read_list, write_list
from tbe.errors import MissingFile, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--list", required=True, type=Path, metavar="FILE", help="the list to draw from")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--fraction", type=float, help="of each class, above 0 and up to 1")
    size.add_argument("--per-class", type=int, metavar="NUMBER", help="videos of each class")
    parser.add_argument("--seed", type=int, default=0, help="which videos (%(default)s)")
    help = "the new list (<list>_<fraction> or <list>_<number>_per_class beside the list)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=help)


def run(args: argparse.Namespace) -> None:
    """Writes the list and prints how many videos of how many classes it has."""
    if args.fraction is not None and not 0 < args.fraction <= 1:
        raise UserError(f"--fraction: expected a number above 0 and up to 1, got {args.fraction}")
    if args.per_class is not None and args.per_class < 1:
        raise UserError(f"--per-class: expected at least 1, got {args.per_class}")
    if not args.list.is_file():
        raise MissingFile(f"{args.list}: expected a list, got no such file")
    size = f"{args.fraction:g}" if args.fraction else f"{args.per_class}_per_class"
    out = args.out or args.list.with_name(f"{args.list.stem}_{size}{args.list.suffix}")
    if out.resolve() == args.list.resolve():
        raise UserError(f"--out: expected another file than --list, got {out}")
    records = read_list(args.list, "")
    drawn = draw(records, args.seed, args.fraction, args.per_class)
    columns = [[os.fsdecode(path) for path in records.paths[drawn]], records.labels[drawn].tolist()]
    if records.num_frames.any():
        columns.append(records.num_frames[drawn].tolist())
    write_list(out, list(zip(*columns, strict=True)))
    num_classes = len(np.unique(records.labels))
    print(f"{out}: {len(drawn)} of {len(records)} videos, {num_classes} classes")
    counts = np.bincount(records.labels)
    if args.per_class and (num_small := int(((counts > 0) & (counts < args.per_class)).sum())):
        print(f"{num_small} classes have fewer than {args.per_class} videos: all of theirs are taken")


def draw(records: Records, seed: int, fraction: float | None, per_class: int | None) -> np.ndarray:
    """The positions of the drawn videos, sorted: the first of each class in an order that the seed gives."""
    chosen: list[np.ndarray] = []
    for label in np.unique(records.labels):
        members = np.flatnonzero(records.labels == label)
        members = members[np.argsort(np.asarray(records.paths[members]), kind="stable")]
        size = (per_class or 1) if fraction is None else round(fraction * len(members))
        chosen.append(np.random.default_rng((seed, int(label))).permutation(members)[: max(1, size)])
    return np.sort(np.concatenate(chosen))
