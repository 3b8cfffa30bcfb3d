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
        found = {}
        for variant in chosen.variants:
            name, _, runs = variant.partition("=")
            found[name] = added([_scores(Path(run)) for run in runs.split(",")], name)
        first, *others = found.values()
        for other in others:
            _check_same(first, other, chosen.variants[0].partition("=")[0])
        print("\n".join(table(found, chosen.draws, chosen.seed)))


def added(scores: Sequence[Scores], variant: str) -> Scores:
    """Returns the scores of all seeds together; raises UserError if they are not of the same videos."""
    for other in scores[1:]:
        _check_same(scores[0], other, variant)
    sums, counts = (np.sum([getattr(part, name) for part in scores], axis=0) for name in ("sums", "counts"))
    return Scores(scores[0].names, sums, counts)


def _scores(run: Path) -> Scores:
    files = [run] if run.is_file() else sorted(run.rglob(KEPT))
    if len(files) != 1:
        raise UserError(f"{run}: expected a run of task=scene_swap with one checkpoint ({KEPT}), got {len(files)}")
    return read_scores(files[0])


def _check_same(one: Scores, other: Scores, name: str) -> None:
    if one.names != other.names or one.sums.shape != other.sums.shape:
        raise UserError(
            f"{name}: expected runs of the same videos and assignments, got {one.sums.shape} and {other.sums.shape} "
            "scores, assignments and groups"
        )


if __name__ == "__main__":
    main()
