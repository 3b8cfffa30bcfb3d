"""Shows the files that evaluation tasks wrote to run folders, by task and checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

from tbe.reporting.html import pictures, tables
from tbe.reporting.html.folders import Run
from tbe.reporting.html.markup import Markup, tag
from tbe.reporting.html.tables import read_tables

TABLES = {".csv", ".md"}
SPLIT = re.compile(r"split_\d+")  # folder name of an official split


def findings(runs: list[Run], most_mib: float) -> dict[str, list[Markup]]:
    """Returns the pictures and tables of each task, grouped by checkpoint."""
    groups: dict[str, dict[str, list[tuple[Run, Path]]]] = {}
    for run in runs:
        for file in run.files:
            if pictures.is_shown(file) or file.suffix in TABLES:
                task, *rest = _place(run, file)
                title = " / ".join([run.label, *rest] if len(runs) > 1 else rest)
                groups.setdefault(task, {}).setdefault(title, []).append((run, file))
    shown = {
        task: [part for title, files in found.items() for part in _group(title, files, most_mib)]
        for task, found in sorted(groups.items())
    }
    return {task: parts for task, parts in shown.items() if parts}


def _place(run: Run, file: Path) -> list[str]:
    """Returns the task of a file and its further folders: checkpoint, split."""
    folders = list(file.relative_to(run.folder).parts[:-1])
    splits = [name for name in folders if SPLIT.fullmatch(name)]
    return [*([name for name in folders if name not in splits] or ["Pictures"]), *splits]


def _group(title: str, files: list[tuple[Run, Path]], most_mib: float) -> list[Markup]:
    drawn = [pictures.show(run, file, most_mib) for run, file in files if file.suffix in pictures.SHOWN]
    found = [(file, table) for _, file in files for table in read_tables(file, file.name)]
    written = [tables.show(table, source=str(file)) for file, table in found]
    heading = [tag("h3", title)] if title and (drawn or written) else []
    return [*heading, *([tag("div", *drawn, class_="pictures")] if drawn else []), *written]
