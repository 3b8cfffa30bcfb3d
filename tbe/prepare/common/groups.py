"""Groups of videos by person, and their split into training and test groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tbe.errors import UserError
from tbe.prepare.common.published import numbered_lines


def groups_of(paths: Sequence[str], group: str) -> dict[str, str]:
    """Returns the group of each video, from a file of lines '<path> <group>' or a regular expression with one group."""
    return _from_file(paths, Path(group)) if Path(group).is_file() else _from_paths(paths, group)


def test_groups(groups: Sequence[str], test: Sequence[str] | None, share: float, seed: int) -> set[str]:
    """Returns the test groups: those in `test`, else a share of all, at least one and never all."""
    known = sorted(set(groups))
    if len(known) < 2:
        raise UserError(f"--group: expected at least two groups, one to train on and one to test on, got {known}")
    if test is None:
        if not 0 < share < 1:
            raise UserError(f"--test-share: expected more than 0 and less than 1, got {share}")
        count = min(len(known) - 1, max(1, round(share * len(known))))
        return set(np.random.default_rng(seed).permutation(known)[:count].tolist())
    unknown = sorted(set(test) - set(known))
    if unknown or set(test) == set(known):
        got = f"{', '.join(unknown)}, which no video has" if unknown else "all of them, and none to train on"
        raise UserError(f"--test: expected some of the groups {', '.join(known)}, got {got}")
    return set(test)


def _from_paths(paths: Sequence[str], expression: str) -> dict[str, str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UserError(f"--group: expected a regular expression or a file, got {expression!r}: {error}") from error
    if pattern.groups != 1:
        raise UserError(f"--group: expected one group in brackets, got {pattern.groups} in {expression!r}")
    found = {path: pattern.search(path) for path in paths}
    groups = {path: match.group(1) for path, match in found.items() if match and match.group(1) is not None}
    _check_all(groups, paths, f"--group {expression}")
    return groups


def _from_file(paths: Sequence[str], file: Path) -> dict[str, str]:
    groups = {}
    for place, line in numbered_lines(file):
        path, _, group = line.rpartition(" ")
        if not path:
            raise UserError(f"{place}: expected '<path> <group>', got {line!r}")
        groups[path.strip()] = group
    _check_all(groups, paths, str(file))
    return groups


def _check_all(groups: dict[str, str], paths: Sequence[str], where: str) -> None:
    missing = [path for path in paths if path not in groups]
    if missing:
        raise UserError(f"{where}: expected a group of each video, got none of {missing[0]!r} ({len(missing)} such)")
