"""Groups of videos that belong together: the same persons, or parts of one recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tbe.data.sources.text_files import numbered_lines
from tbe.errors import UserError


def groups_of(paths: Sequence[str], group: str, option: str) -> dict[str, str]:
    """Returns the group of each video, from a file of lines '<path> <group>' or a regular expression with one group.

    option: what the user set, named in errors. Raises UserError for a video without a group.
    """
    is_file = Path(group).is_file()
    groups = _from_file(Path(group)) if is_file else _from_paths(paths, group, option)
    missing = [path for path in paths if path not in groups]
    if missing:
        where = group if is_file else f"{option} {group}"
        raise UserError(f"{where}: expected a group of each video, got none of {missing[0]!r} ({len(missing)} such)")
    return groups


def _from_paths(paths: Sequence[str], expression: str, option: str) -> dict[str, str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UserError(f"{option}: expected a regular expression or a file, got {expression!r}: {error}") from error
    if pattern.groups != 1:
        raise UserError(f"{option}: expected one group in brackets, got {pattern.groups} in {expression!r}")
    found = {path: pattern.search(path) for path in paths}
    return {path: match.group(1) for path, match in found.items() if match and match.group(1) is not None}


def _from_file(file: Path) -> dict[str, str]:
    groups: dict[str, str] = {}
    for place, line in numbered_lines(file):
        path, _, group = line.rpartition(" ")
        if not path:
            raise UserError(f"{place}: expected '<path> <group>', got {line!r}")
        if groups.setdefault(path.strip(), group) != group:
            raise UserError(f"{place}: expected one group of {path.strip()!r}, got {groups[path.strip()]} and {group}")
    return groups
