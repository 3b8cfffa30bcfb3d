"""The command: looks at all videos, plans the shards, writes them and what finds the videos in them."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from tbe.data.sources.groups import groups_of
from tbe.data.sources.records import write_list
from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.given_lists import add_lists, given_lists, write_again
from tbe.prepare.common.inputs import with_inputs
from tbe.prepare.common.lists import listable
from tbe.prepare.common.making import opened_report, unique_targets
from tbe.prepare.common.parts import add_part_options, check_complete, is_part, part_of, whole
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import add_work_options, end_part, exit_on_failures, print_counts, work_on
from tbe.prepare.tools.shards.listed import listed_videos, looked_at
from tbe.prepare.tools.shards.looking import Looking, LookRow
from tbe.prepare.tools.shards.machines import (
    Run,
    dealt,
    divided,
    join,
    not_joined,
    num_parts,
    part_folder,
    plan_of_run,
    remove_part_folders,
)
from tbe.prepare.tools.shards.plan import Sample, Shard, in_order, plan_of
from tbe.prepare.tools.shards.writing import ShardRow, Writing, outdated, write_index
from tbe.runs import replacing

TITLE = "shards"
SCENES, GROUPS = "scenes.csv", "groups.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this command."""
    add_lists(parser)
    parser.add_argument(
        "--out", required=True, type=Path, help="the folder of the shards, of their index and the lists"
    )
    parser.add_argument(
        "--size", type=float, default=1.0, help="largest size of a shard, GB of 10^9 bytes (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of the videos (%(default)s)")
    help = "of the videos, as data.scenes reads them: a folder of lists with the same names, or a CSV of path and scene"
    parser.add_argument("--scenes", type=Path, help=help)
    help = "of the videos: a regular expression on the path with one group, or a file of lines '<path> <group>'"
    parser.add_argument("--group", metavar="EXPRESSION", help=help)
    add_work_options(parser, timeout=120.0)
    add_part_options(parser)


def run(args: argparse.Namespace) -> None:
    """Writes shards, index and lists; exits 1 if any video can't be opened or any shard be written."""
    if not 0 < args.size < 1e6:
        raise UserError(f"--size: expected GB above 0, got {args.size}")
    given = given_lists(args.root, args.list)
    paths = unique_targets(given.paths(), str).paths  # raises for paths that lead out of the root
    groups = groups_of(paths, args.group, "--group") if args.group else {}
    total = num_parts(args.out / f"{TITLE}_report.csv", args)
    settings = with_inputs(f"size={args.size:g} seed={args.seed}" + (f" parts={total}" if total else ""), args)
    report = opened_report(TITLE, settings, args, paths, LookRow)
    listed = listed_videos(given, groups, args)
    if total is None:
        shards = packed(listed, paths, report, settings, args)
    else:
        runs = divided(listed, total, args.seed)
        if is_part(args):
            pack_part(runs, report, settings, args)
        shards = joined(runs, paths, report, args)
    if not shards:
        exit_on_failures(print_counts(report, paths), len(paths), report)
    write_index(args.out, shards)
    write_facts(shards, args)
    ok = {sample.path: (listable(sample.path), sample.num_frames) for shard in shards for sample in shard.samples}
    write_again(given, args.out, partial(map, ok.get))
    if total is not None:
        remove_part_folders(args.out, total)
    size = sum(shard.length() for shard in shards)
    print(f"{args.out}: {len(ok)} videos in {len(shards)} shards, {size / 1e9:.2f} GB")
    num_failed = print_counts(report, paths)
    print(f"use them with: {override('data.root', args.out)}")
    exit_on_failures(num_failed, len(paths), report)


def packed(
    listed: dict[str, list[Sample]], paths: Sequence[str], report: Report, settings: str, args: argparse.Namespace
) -> list[Shard]:
    """Packs all videos on this machine; returns the shards."""
    look_at(paths, report, settings, args)
    limit = limit_of(args)
    shards = [
        shard
        for name, samples in listed.items()
        for shard in plan_of(name, looked_at(in_order(samples, args.seed), report), limit)
    ]
    with report.alone():
        write_missing(args.out, shards, "writing", args)
    return shards


def pack_part(runs: list[Run], report: Report, settings: str, args: argparse.Namespace) -> NoReturn:
    """Packs this machine's part of the videos into a folder of its own, and ends the command."""
    part, paths = part_of(args), dealt(runs)
    look_at(paths, report, settings, args)
    with report.alone():
        shards = plan_of_run(runs[part.number - 1], report, limit_of(args))
        write_missing(part_folder(args.out, part), not_joined(args.out, shards), f"writing, part {part}", args)
    end_part(part.of(paths), report, args)


def joined(runs: list[Run], paths: Sequence[str], report: Report, args: argparse.Namespace) -> list[Shard]:
    """Joins what all parts have packed; returns the shards. Raises UserError that names what is missing."""
    check_complete(dealt(runs), report)
    with report.alone():
        shards = join(args.out, [plan_of_run(run, report, limit_of(args)) for run in runs])
    report.rewrite(paths)
    return shards


def look_at(paths: Sequence[str], report: Report, settings: str, args: argparse.Namespace) -> None:
    """Opens the videos, or this part's, that the report lacks."""

    def row_of(outcome: Outcome) -> LookRow:
        frames, size, crc32 = outcome.value or (0, 0, 0)
        return LookRow(outcome.item, outcome.status, frames, size, crc32, settings, outcome.reason)

    work_on("opening", paths, report, Looking(args.root), row_of, args)


def limit_of(args: argparse.Namespace) -> int:
    """Returns the largest size of a shard, in bytes."""
    return round(args.size * 1e9)


def write_missing(out: Path, shards: list[Shard], title: str, args: argparse.Namespace) -> None:
    """Writes the shards that are not in a folder as planned, in processes; exits 1 if any can't be written."""
    if not shards:
        return
    missing = [shard.name for shard in outdated(out, shards)]
    report = Report(out / "shards_written.csv", ShardRow)
    report.forget(lambda row: row.status != "ok" or row.path in missing)
    longest = max(len(shard.samples) for shard in shards)
    alone = argparse.Namespace(**{**vars(whole(args)), "timeout": args.timeout * longest})

    def row_of(outcome: Outcome) -> ShardRow:
        return ShardRow(outcome.item, outcome.status, outcome.value or 0, outcome.reason)

    work_on(title, missing, report, Writing(args.root, out), row_of, alone, "shards")
    failed = [name for name in missing if report.rows[name].status != "ok"]
    if failed:
        sys.exit(f"{len(failed)} of {len(shards)} shards could not be written: {report.rows[failed[0]].reason}")


def write_facts(shards: list[Shard], args: argparse.Namespace) -> None:
    """Writes the scenes and groups, where they are given, for data.scenes and data.groups."""
    samples = [sample for shard in shards for sample in shard.samples]
    if args.scenes is not None:
        text = io.StringIO()
        rows = [("path", "scene"), *((listable(sample.path), sample.scene) for sample in samples)]
        csv.writer(text, lineterminator="\n").writerows(rows)
        with replacing(args.out / SCENES) as part:
            part.write_bytes(os.fsencode(text.getvalue()))
    if args.group:
        write_list(args.out / GROUPS, [(listable(one.path), "_".join(one.group.split())) for one in samples])
