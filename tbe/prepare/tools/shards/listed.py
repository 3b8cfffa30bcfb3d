"""The videos that the shards of each list are to hold, and what is known of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from tbe.data.sources.records import make_records
from tbe.data.sources.scene_lists import SceneLists
from tbe.prepare.common.given_lists import GivenLists
from tbe.prepare.common.report import Report
from tbe.prepare.tools.shards.plan import Sample


def listed_videos(given: GivenLists, groups: dict[str, str], args: argparse.Namespace) -> dict[str, list[Sample]]:
    """Returns the videos of each list that no list before it has, with labels, scenes and groups."""
    taken: set[str] = set()
    listed: dict[str, list[Sample]] = {}
    for name, rows in given.rows.items():
        scenes = _scenes_of(name, [row[0] for row in rows], args) or _column(given, name, "scenes")
        own_groups = groups or _column(given, name, "groups")
        listed[name] = []
        for path, label, *_ in rows:
            if path not in taken:
                taken.add(path)
                listed[name].append(Sample("", 0, 0, 0, path, label, 0, scenes.get(path, ""), own_groups.get(path, "")))
    return listed


def looked_at(samples: Sequence[Sample], report: Report) -> Iterator[Sample]:
    """Yields those of the videos that open, with what the report knows of them."""
    for sample, look in zip(samples, report.rows_of(sample.path for sample in samples), strict=True):
        if look.status == "ok":
            yield sample._replace(size=look.size, crc32=look.crc32, num_frames=look.frames)


def _scenes_of(name: str, paths: list[str], args: argparse.Namespace) -> dict[str, str]:
    """Returns the scenes of the videos of a list: their names, or numbers where they have none."""
    if args.scenes is None:
        return {}
    scenes = SceneLists(str(args.scenes))
    file = next((file.name for file in args.list if file.stem == name), f"{name}.txt")
    numbers = scenes.of(make_records("", paths, [0] * len(paths), [0] * len(paths)), file).tolist()
    names = scenes.names
    return {path: names[number] if names else str(number) for path, number in zip(paths, numbers, strict=True)}


def _column(given: GivenLists, name: str, what: str) -> dict[str, str]:
    """Returns the scenes or groups in the column of a list that is a table, by path; empty without one."""
    names = getattr(given.tables[name][1], what) if name in given.tables else None
    texts = map(os.fsdecode, names.tolist()) if names else ()
    return dict(zip([row[0] for row in given.rows[name]], texts, strict=False))
