"""The command: looks at all videos, plans the shards, writes them and what finds the videos in them."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tbe.data.sources.groups import groups_of
from tbe.data.sources.records import make_records, write_list
from tbe.data.sources.scene_lists import SceneLists
from tbe.errors import UserError
from tbe.launch.quoting import override
from tbe.prepare.common.given_lists import GivenLists, add_lists, given_lists, write_again
from tbe.prepare.common.lists import listable
from tbe.prepare.common.making import opened_report, unique_targets
from tbe.prepare.common.parts import add_part_options, whole
from tbe.prepare.common.processes import Outcome
from tbe.prepare.common.report import Report
from tbe.prepare.common.work import add_work_options, exit_on_failures, print_counts, work_through
from tbe.prepare.tools.shards.looking import Looking, LookRow
from tbe.prepare.tools.shards.plan import Sample, Shard, plan_of
from tbe.prepare.tools.shards.writing import ShardRow, Writing, outdated, write_index
from tbe.runs import replacing

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
    paths = list(unique_targets(given.paths(), str))  # raises for paths that lead out of the root
    groups = groups_of(paths, args.group, "--group") if args.group else {}
    settings = f"size={args.size:g} seed={args.seed}"
    report = opened_report("shards", settings, args, LookRow)

    def row_of(outcome: Outcome) -> LookRow:
        frames, size, crc32 = outcome.value or (0, 0, 0)
        return LookRow(outcome.item, outcome.status, frames, size, crc32, settings, outcome.reason)

    work_through("opening", paths, report, Looking(args.root), row_of, args)
    shards = list(planned(given, groups, report, args))
    if not shards:
        exit_on_failures(print_counts(report, paths), len(paths), report)
    write_missing(shards, args)
    write_index(args.out, shards)
    write_facts(shards, args)
    ok = {sample.path: (listable(sample.path), sample.num_frames) for shard in shards for sample in shard.samples}
    write_again(given, args.out, ok)
    size = sum(shard.length() for shard in shards)
    print(f"{args.out}: {len(ok)} videos in {len(shards)} shards, {size / 1e9:.2f} GB")
    num_failed = print_counts(report, paths)
    print(f"use them with: {override('data.root', args.out)}")
    exit_on_failures(num_failed, len(paths), report)


def planned(given: GivenLists, groups: dict[str, str], report: Report, args: argparse.Namespace) -> Iterator[Shard]:
    """Yields the shards of each list, of those of its videos that open and that no list before it has."""
    taken: set[str] = set()
    for name, rows in given.rows.items():
        scenes = scenes_of(name, [row[0] for row in rows], args) or column(given, name, "scenes")
        own_groups = groups or column(given, name, "groups")
        samples = []
        for path, label, *_ in rows:
            look = report.rows[path]
            if look.status == "ok" and path not in taken:
                taken.add(path)
                facts = (label, look.frames, scenes.get(path, ""), own_groups.get(path, ""))
                samples.append(Sample("", 0, look.size, look.crc32, path, *facts))
        yield from plan_of(name, samples, round(args.size * 1e9), args.seed)


def scenes_of(name: str, paths: list[str], args: argparse.Namespace) -> dict[str, str]:
    """Returns the scenes of the videos of a list: their names, or numbers where they have none."""
    if args.scenes is None:
        return {}
    scenes = SceneLists(str(args.scenes))
    file = next((file.name for file in args.list if file.stem == name), f"{name}.txt")
    numbers = scenes.of(make_records("", paths, [0] * len(paths), [0] * len(paths)), file).tolist()
    names = scenes.names
    return {path: names[number] if names else str(number) for path, number in zip(paths, numbers, strict=True)}


def column(given: GivenLists, name: str, what: str) -> dict[str, str]:
    """Returns the scenes or groups in the column of a list that is a table, by path; empty without one."""
    names = getattr(given.tables[name][1], what) if name in given.tables else None
    texts = map(os.fsdecode, names.tolist()) if names else ()
    return dict(zip([row[0] for row in given.rows[name]], texts, strict=False))


def write_missing(shards: list[Shard], args: argparse.Namespace) -> None:
    """Writes the shards that are not there as planned, in processes; exits 1 if any can't be written."""
    missing = [shard.name for shard in outdated(args.out, shards)]
    report = Report(args.out / "shards_written.csv", ShardRow)
    report.forget(lambda row: row.status != "ok" or row.path in missing)
    longest = max(len(shard.samples) for shard in shards)
    alone = argparse.Namespace(**{**vars(whole(args)), "timeout": args.timeout * longest})

    def row_of(outcome: Outcome) -> ShardRow:
        return ShardRow(outcome.item, outcome.status, outcome.value or 0, outcome.reason)

    work_through("writing", missing, report, Writing(args.root, args.out), row_of, alone)
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
