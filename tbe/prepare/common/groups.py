"""The split of groups of videos, such as persons, into training and test groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tbe.errors import UserError


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
