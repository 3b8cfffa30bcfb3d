"""Adds the scores of several seeds and compares variants (python -m tbe.evaluation.tasks.scene_swap --help)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tbe.errors import UserError, ended_in_one_line
from tbe.evaluation.tasks.scene_swap.scores import Scores, read_scores
from tbe.evaluation.tasks.scene_swap.tables import table
from tbe.evaluation.tasks.scene_swap.task import KEPT


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tbe.evaluation.tasks.scene_swap", description=__doc__)
    help = "<name>=<run of task=scene_swap>[,<run>...]: a variant, with a run, or its scores.npz, for each seed"
    parser.add_argument(
        "variants", nargs="+", metavar="VARIANT", help=f"{help}; the others are compared with the first"
    )
    parser.add_argument("--draws", type=int, default=10_000, help="draws of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        found = {name: added([_scores(run) for run in runs], name) for name, runs in named(chosen.variants).items()}
        (name, first), *others = found.items()
        for _, other in others:
            _check_same(first, other, name)
        print("\n".join(table(found, chosen.draws, chosen.seed)))


def named(variants: Sequence[str]) -> dict[str, list[Path]]:
    """Returns the runs of each variant, '<name>=<run>[,<run>...]'; raises UserError for others, and for any twice."""
    found: dict[str, list[Path]] = {}
    for variant in variants:
        name, _, runs = variant.partition("=")
        folders = [Path(run.strip()) for run in runs.split(",") if run.strip()]
        if not name or not folders:
            raise UserError(f"expected <name>=<run>[,<run>...] for each variant, got {variant!r}")
        if name in found:
            raise UserError(f"expected variants of different names, got {name!r} twice: list its runs behind commas")
        found[name] = folders
    resolved = [run.resolve() for runs in found.values() for run in runs]
    twice = [run for run in resolved if resolved.count(run) > 1]
    if twice:
        raise UserError(f"expected each run once, got {twice[0]} twice")
    return found


def added(scores: Sequence[Scores], variant: str) -> Scores:
    """Returns the scores of all seeds together; raises UserError if they are not of the same videos."""
    for other in scores[1:]:
        _check_same(scores[0], other, variant)
    sums, counts = (np.sum([getattr(part, name) for part in scores], axis=0) for name in ("sums", "counts"))
    return Scores(scores[0].names, sums, counts, scores[0].of)


def _scores(run: Path) -> Scores:
    files = [run] if run.is_file() else sorted(run.rglob(KEPT))
    if len(files) != 1:
        raise UserError(f"{run}: expected a run of task=scene_swap with one checkpoint ({KEPT}), got {len(files)}")
    return read_scores(files[0])


def _check_same(one: Scores, other: Scores, name: str) -> None:
    differs = one.of != other.of and one.of and other.of  # older files do not say
    if one.names != other.names or one.sums.shape != other.sums.shape or differs:
        others = "" if one.sums.shape != other.sums.shape else ", but other videos, groups or homes of classes"
        raise UserError(
            f"{name}: expected runs of the same videos and assignments, got {one.sums.shape} and {other.sums.shape} "
            f"scores, assignments and groups{others}. Repeat task=scene_swap with one data set and one seed"
        )


if __name__ == "__main__":
    main()
