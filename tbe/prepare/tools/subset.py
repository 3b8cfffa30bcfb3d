"""Draws a subset of a list: some of each class, to learn from few labels, or all videos of some people.

--fraction takes that share of each class, --per-class that many videos of each; at least one of each class either way.
--num-groups takes all videos of that many groups, such as people, which --group tells: a regular expression on the path
or a file of lines '<path> <group>'. The draw depends on --seed and the names of the videos, not on their order in the
list; that of groups not on its labels either, so that a list of scenes loses the same videos. Subsets of one seed are
nested: the 10 % contains the 1 %. Rows keep their order and their columns. Of a CSV or Parquet list with a column
`group`, --group is not needed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tbe.data.sources.groups import groups_of
from tbe.data.sources.records import Records, read_list, write_records
from tbe.errors import MissingFile, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    parser.add_argument("--list", required=True, type=Path, metavar="FILE", help="the list to draw from")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--fraction", type=float, help="share of each class, above 0 and up to 1")
    size.add_argument("--per-class", type=int, metavar="NUMBER", help="number of videos of each class")
    size.add_argument("--num-groups", type=int, metavar="NUMBER", help="number of groups, with all of their videos")
    help = "with --num-groups: regular expression on the path, or file of lines '<path> <group>'"
    parser.add_argument("--group", metavar="EXPRESSION", help=help)
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (%(default)s)")
    help = "the new list (<list>_<fraction>, <list>_<number>_per_class or <list>_<number>_groups beside the list)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=help)


def run(args: argparse.Namespace) -> None:
    """Writes the list and prints its numbers of videos and classes."""
    if args.fraction is not None and not 0 < args.fraction <= 1:
        raise UserError(f"--fraction: expected a number above 0 and up to 1, got {args.fraction}")
    if args.per_class is not None and args.per_class < 1:
        raise UserError(f"--per-class: expected at least 1, got {args.per_class}")
    if not args.list.is_file():
        raise MissingFile(f"{args.list}: expected a list, got no such file")
    if args.num_groups is None and args.group is not None:
        raise UserError("expected --group with --num-groups, got --group alone")
    size = _size_name(args)
    out = args.out or args.list.with_name(f"{args.list.stem}_{size}{args.list.suffix}")
    if out.resolve() == args.list.resolve():
        raise UserError(f"--out: expected another file than --list, got {out}")
    records = read_list(args.list, "")
    if args.num_groups is None:
        drawn = draw(records, args.seed, args.fraction, args.per_class)
    else:
        drawn = draw_groups(_groups(records, args.group), args.num_groups, args.seed)
    write_records(out, records.select(drawn))
    num_classes = len(np.unique(records.labels[drawn]))
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


def draw_groups(groups: Sequence[str], num_groups: int, seed: int) -> np.ndarray:
    """Returns the sorted positions of all videos of the drawn groups: the first ones in a seeded random order.

    groups: of each video. Raises UserError for more groups than there are.
    """
    known = sorted(set(groups))
    if not 1 <= num_groups <= len(known):
        raise UserError(f"--num-groups: expected 1 to {len(known)}, as many as --group tells, got {num_groups}")
    chosen = set(np.random.default_rng(seed).permutation(known)[:num_groups].tolist())
    return np.array([number for number, group in enumerate(groups) if group in chosen], dtype=np.int64)


def _groups(records: Records, group: str | None) -> list[str]:
    """Returns the group of each video, from --group or the list's column; raises UserError for one without a group."""
    if group is None:
        if records.groups is None or (records.groups.numbers < 0).any():
            raise UserError("--num-groups: expected --group, or a list with the column group, filled in each row")
        return [os.fsdecode(name) for name in records.groups.tolist()]
    paths = [os.fsdecode(path) for path in records.paths]
    found = groups_of(paths, group, "--group")
    return [found[path] for path in paths]


def _size_name(args: argparse.Namespace) -> str:
    if args.num_groups is not None:
        return f"{args.num_groups}_groups"
    return f"{args.per_class}_per_class" if args.fraction is None else f"{args.fraction:g}"
