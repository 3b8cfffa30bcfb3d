"""Checks and writes the lists of a data set."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from tbe.data.sources.list_hints import CLASSES
from tbe.data.sources.records import leads_out, write_list
from tbe.data.sources.scene_lists import read_names
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.errors import MissingFile, UserError
from tbe.launch.quoting import override

Row = tuple  # (path, label) or (path, label, num_frames)


def add_annotations(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the option for the folder of the published files."""
    parser.add_argument("--annotations", required=True, type=Path, metavar="FOLDER", help=f"the folder of {what}")


def add_out(parser: argparse.ArgumentParser, dataset: str) -> None:
    """Adds the option for the folder of the lists."""
    default, help = Path("data/lists") / dataset, "the folder to write the lists to (%(default)s)"
    parser.add_argument("--out", type=Path, default=default, metavar="LISTS", help=help)


def write_lists(
    dataset: str,
    out: Path,
    lists: Mapping[str, Sequence[Row]],
    classes: list[str],
    official: dict[str, int] | None = None,
) -> None:
    """Writes <name>.txt for each list and classes.txt, and prints the number of videos of each.

    `official`: published numbers, for comparison. Raises UserError for an empty list, a path that a list can't hold,
    a video shared by lists whose names have the same ending ('train_1', 'test_1'), and where other lists would stay
    whose labels are of other classes.
    """
    for name, rows in lists.items():
        if not rows:
            raise UserError(f"{out / name}.txt: expected at least one video, got none")
    check_disjoint(lists)
    check_classes(out, classes, lists)
    lists = {name: [(listable(row[0]), *row[1:]) for row in rows] for name, rows in lists.items()}
    for name, rows in lists.items():
        write_list(out / f"{name}.txt", rows)
        published = (official or {}).get(name, len(rows))
        remark = "" if published == len(rows) else f" (officially {published})"
        print(f"{out / name}.txt: {len(rows)} videos{remark}")
    write_list(out / "classes.txt", [(name,) for name in classes])
    print(f"{out / 'classes.txt'}: {len(classes)} classes")
    print(f"use them with: data={dataset} {override('data.lists', out)}")


def existing_videos(lists: dict[str, list[Row]], root: Path, hint: str = "") -> dict[str, list[Row]]:
    """Returns the rows whose file or folder exists below root; prints how many of each list are found and missing.

    Raises MissingFile, with `hint`, if none exists.
    """
    existing = {}
    for name, rows in lists.items():
        found = [row for row in rows if os.path.exists(path_on_disk(os.path.join(root, row[0])))]
        print(f"{root}: {len(found)} of the {len(rows)} {name} videos found, {len(rows) - len(found)} missing")
        if found:
            existing[name] = found
            if num_outside := _count_outside(root, [row[0] for row in found]):
                print(f"{root}: links lead {num_outside} of them outside: train with data.allow_outside_root=true")
    if not existing:
        likely = next(iter(lists.values()), [("",)])[0][0]
        raise MissingFile(f"{root}: expected videos like {likely!r}, found none. {hint}".rstrip())
    return existing


def _count_outside(root: Path, paths: list[str]) -> int:
    """Counts the paths that links lead out of root; links above a video are checked once per folder."""
    folders = {folder: leads_out(root / folder, root) for folder in set(map(os.path.dirname, paths))}
    links = (path for path in paths if not folders[os.path.dirname(path)] and os.path.islink(root / path))
    return sum(folders[os.path.dirname(path)] for path in paths) + sum(leads_out(root / path, root) for path in links)


def check_classes(out: Path, classes: Sequence[str], lists: Iterable[str]) -> None:
    """Raises UserError where classes.txt numbers the classes otherwise, and other lists beside it go by that."""
    file = out / CLASSES
    before = read_names(file)
    changed = next((label for label, pair in enumerate(zip(before, classes, strict=False)) if pair[0] != pair[1]), None)
    others = sorted({path.name for path in out.glob("*.txt")} - {CLASSES, *(f"{name}.txt" for name in lists)})
    if changed is not None and others:
        raise UserError(
            f"{file}: expected the classes of the lists that lie beside it, such as {others[0]}, where {changed} is "
            f"{before[changed]!r}; got {classes[changed]!r} for it. Make all lists in one command, or elsewhere, or "
            "remove those that don't count"
        )


def check_disjoint(lists: Mapping[str, Sequence[Row]]) -> None:
    """Raises UserError for lists with a repeated video, and lists with the same ending that share one."""
    for name, rows in lists.items():
        repeated = [path for path, count in Counter(row[0] for row in rows).items() if count > 1]
        if repeated:
            got = f"{repeated[0]!r} again ({len(repeated)} such videos)"
            raise UserError(f"{name}: expected each video once, got {got}")
    for one, other in combinations(lists, 2):
        if one.partition("_")[2] == other.partition("_")[2]:
            shared = sorted({row[0] for row in lists[one]} & {row[0] for row in lists[other]})
            if shared:
                raise UserError(f"{one} and {other}: expected no video in both, got {shared[0]!r} ({len(shared)} such)")


def listable(path: str) -> str:
    """Returns a path as a list can hold it ('#' at its start would mark a comment); raises UserError if it can't."""
    if path != path.strip() or "\n" in path or "\r" in path:
        raise UserError(f"expected a path without line breaks or spaces at its ends, got {path!r}: rename it")
    return f"./{path}" if path.startswith("#") else path
