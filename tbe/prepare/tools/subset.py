"""Draws a class-balanced subset of a list, to learn from few labels.

--fraction takes that share of each class, --per-class that many videos of each; at least one of each class either way.
The draw depends on --seed and the names of the videos, not on their order in the list. Subsets of one seed are nested:
the 10 % contains the 1 %. Rows keep their order and their columns.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from tbe.data.sources.records import Records, read_list, write_list
from tbe.errors import MissingFile, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    parser.add_argument("--list", required=True, type=Path, metavar="FILE", help="the list to draw from")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--fraction", type=float, help="share of each class, above 0 and up to 1")
    size.add_argument("--per-class", type=int, metavar="NUMBER", help="number of videos of each class")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (%(default)s)")
    help = "the new list (<list>_<fraction> or <list>_<number>_per_class beside the list)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=help)


def run(args: argparse.Namespace) -> None:
    """Writes the list and prints its numbers of videos and classes."""
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
        print(f"{num_small} classes have fewer than {args.per_class} videos, all of which are taken")


def draw(records: Records, seed: int, fraction: float | None, per_class: int | None) -> np.ndarray:
    """Returns the sorted positions of the drawn videos: the first ones of each class in a seeded random order."""
    chosen: list[np.ndarray] = []
    for label in np.unique(records.labels):
        members = np.flatnonzero(records.labels == label)
        members = members[np.argsort(np.asarray(records.paths[members]), kind="stable")]
        size = (per_class or 1) if fraction is None else round(fraction * len(members))
        chosen.append(np.random.default_rng((seed, int(label))).permutation(members)[: max(1, size)])
    return np.sort(np.concatenate(chosen))
