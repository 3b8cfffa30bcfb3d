"""Divides the packing among machines, and joins what they have packed.

A part of the work packs its videos into shards in a folder of its own, part-00003-of-00064: it can't know how many the
parts before it have. The join moves them to where all shards lie, and numbers them through. Whatever is killed, each
tar lies whole either in the folder of its part or under a number, beside the table of what is in it; so a join finds
all of them again, under numbers of an earlier join too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections import Counter, defaultdict
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple

from tbe.data.storage.shard_index import INDEX, read_index
from tbe.errors import UserError
from tbe.prepare.common.lists import listable
from tbe.prepare.common.parts import Part, is_joining, is_part, part_files, part_of, run_again
from tbe.prepare.common.report import Report
from tbe.prepare.tools.shards.listed import looked_at
from tbe.prepare.tools.shards.plan import Sample, Shard, in_order, plan_of, table_name
from tbe.prepare.tools.shards.writing import is_there, numbered_tars, write_table


class Piece(NamedTuple):
    """Videos of a part that follow each other in the order of a list, from the first-th on."""

    name: str
    first: int
    samples: list[Sample]


Run = list[Piece]  # the videos of a part


def num_parts(report: Path, args: argparse.Namespace) -> int | None:
    """Returns into how many parts the work is divided, None if it is not; raises UserError for a join without parts."""
    if is_joining(args):
        return next(iter(part_files(report))).total
    return part_of(args).total if is_part(args) else None


def part_folder(out: Path, part: Part) -> Path:
    """Returns the folder of the shards of a part."""
    return out / f"part-{part.number:05d}-of-{part.total:05d}"


def divided(listed: dict[str, list[Sample]], total: int, seed: int) -> list[Run]:
    """Returns the videos of each part: all in the order in which one machine packs them, cut into runs.

    The runs are as long, up to one video, the first ones longer.
    """
    ordered = {name: in_order(samples, seed) for name, samples in listed.items()}
    length, longer = divmod(sum(map(len, ordered.values())), total)
    ends = [number * length + min(number, longer) for number in range(total + 1)]
    runs: list[Run] = []
    for start, end in pairwise(ends):
        runs.append([])
        before = 0  # videos of the lists before this one
        for name, samples in ordered.items():
            first, last = max(0, start - before), min(len(samples), end - before)
            if first < last:
                runs[-1].append(Piece(name, first, samples[first:last]))
            before += len(samples)
    return runs


def dealt(runs: list[Run]) -> list[str]:
    """Returns all paths in an order of which each part's every n-th path (`Part.of`) are those of its run."""
    paths = ((sample.path for piece in run for sample in piece.samples) for run in runs)
    return [path for row in zip_longest(*paths) for path in row if path is not None]


def plan_of_run(run: Run, report: Report, limit: int) -> list[Shard]:
    """Returns the shards of a part, of up to `limit` bytes, numbered from 0 for each list.

    The key of a video is its number in the order of its list, also of those that can't be opened.
    """
    shards: list[Shard] = []
    for name, first, samples in run:
        numbered = [sample._replace(key=f"{number:09d}") for number, sample in enumerate(samples, start=first)]
        shards += plan_of(name, looked_at(numbered, report), limit)
    return shards


def not_joined(out: Path, shards: list[Shard]) -> list[Shard]:
    """Returns the shards of a part that an earlier join has not moved and numbered."""
    if not (out / INDEX).is_file():
        return shards
    index = read_index((out / INDEX).read_bytes(), str(out / INDEX))
    places = index.places_of(os.fsencode(listable(shard.samples[0].path)) for shard in shards)
    return [
        shard
        for number, shard in enumerate(shards)
        if not (places.has(number) and is_there(out, shard._replace(name=places.piece(number).file)))
    ]


class Placed(NamedTuple):
    """A shard of a part under its number, and the tar file that the part writes."""

    part: int
    packed: Path
    shard: Shard


def join(out: Path, planned: list[list[Shard]]) -> list[Shard]:
    """Moves the shards of all parts, as planned, to `out`, numbered through; returns them under their new names.

    Raises UserError, and changes nothing, if some part has not written what is planned. Removes the index where
    anything changes, and shards that are not in the plan.
    """
    placed = _placed(out, planned)
    found = _found(out, placed)
    targets = [out / each.shard.name for each in placed]
    surplus = set(numbered_tars(out, {_list_of(name.name) for name in targets})) - set(targets)
    if found != targets or surplus:
        (out / INDEX).unlink(missing_ok=True)
    for each, tar, target in zip(placed, found, targets, strict=True):
        if tar not in (target, each.packed):  # under another number: out of the way first
            _move(tar, each.packed, each.shard)
    for tar in surplus:
        tar.unlink(missing_ok=True)
        tar.with_name(table_name(tar.name)).unlink(missing_ok=True)
    for each, tar, target in zip(placed, found, targets, strict=True):
        if tar != target:
            _move(each.packed, target, each.shard)
    return [each.shard for each in placed]


def remove_part_folders(out: Path, total: int) -> None:
    """Removes the folders of parts once their shards are joined; prints those of other numbers of parts."""
    for number in range(1, total + 1):
        shutil.rmtree(part_folder(out, Part(number, total)), ignore_errors=True)
    if others := sorted(out.glob("part-?????-of-?????")):
        print(f"{others[0]}: of parts that don't count: remove it and such folders ({len(others)} in all)")


def _placed(out: Path, planned: list[list[Shard]]) -> list[Placed]:
    """Returns the shards of all parts, list by list and part by part, under numbers without a gap."""
    by_list: dict[str, list[Placed]] = defaultdict(list)
    for number, shards in enumerate(planned, start=1):
        folder = part_folder(out, Part(number, len(planned)))
        for shard in shards:
            name = _list_of(shard.name)
            renamed = shard._replace(name=f"{name}-{len(by_list[name]):06d}.tar")
            by_list[name].append(Placed(number, folder / shard.name, renamed))
    return [each for of_list in by_list.values() for each in of_list]


def _found(out: Path, placed: list[Placed]) -> list[Path]:
    """Returns the tar of each shard: under its number, in the folder of its part, or under another number.

    Raises UserError that names the parts whose shards are nowhere.
    """
    lists = {_list_of(each.shard.name) for each in placed}
    elsewhere = {_digest(table): tar for tar in numbered_tars(out, lists) if (table := _table_of(tar)) is not None}
    found, missing = [], []
    for each in placed:
        numbered, packed = out / each.shard.name, each.packed
        other = elsewhere.get(_digest(each.shard.table()))
        for tar in (numbered, packed, other):
            if tar is not None and is_there(tar.parent, each.shard._replace(name=tar.name)):
                found.append(tar)
                break
        else:
            missing.append(each)
    if missing:
        count = int(missing[0].packed.parent.name.rpartition("-")[2])
        raise UserError(
            f"--join: expected all {len(placed)} shards, got none of {len(missing)}, such as {missing[0].packed}: "
            f"{run_again(Counter(each.part for each in missing), count)}, with the same options and lists"
        )
    return found


def _move(tar: Path, target: Path, shard: Shard) -> None:
    """Moves a tar, and writes the table of what is in it beside it; the table first, so that it has one at any time."""
    target.unlink(missing_ok=True)
    write_table(target.parent, shard._replace(name=target.name))
    os.replace(tar, target)


def _table_of(tar: Path) -> bytes | None:
    table = tar.with_name(table_name(tar.name))
    return table.read_bytes() if table.is_file() else None


def _digest(table: bytes) -> bytes:
    return hashlib.blake2b(table, digest_size=16).digest()


def _list_of(shard: str) -> str:
    return shard.rpartition("-")[0]
