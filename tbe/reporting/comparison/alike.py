"""Checks that runs of one variant were trained and measured alike, before anything is averaged over their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tbe.errors import UserError

TOLD = ("data", "backbone", "be", "stage", "batch_size", "precision", "accumulate", "clip", "eval_clips", "test")
FOLLOWED = "followed"  # what the runs that followed (`then`) tell, by stage
WITHOUT_EFFECT = ("test.max_clips_per_forward", "test.splits")  # on any number
# One of them may differ, with the number of a seed's videos, and both a little, as where a time ends the training.
LENGTH = ("epochs", "steps")
TOLERATED = 1.1  # ratio of the longest to the shortest


def check_alike(variant: str, protocols: Mapping[int, Mapping[str, Any]]) -> None:
    """Raises UserError for runs, by seed, whose protocols differ; what some do not tell does not count."""
    known = (*TOLD, FOLLOWED)
    flat = {seed: dict(_flattened({key: of[key] for key in known if key in of})) for seed, of in protocols.items()}
    shared = {key for key in set.intersection(*map(set, flat.values())) if not key.endswith(WITHOUT_EFFECT)}
    differing = [key for key in flat[next(iter(flat))] if key in shared and _differ([of[key] for of in flat.values()])]
    lengths = [[of[key] for of in protocols.values() if key in of] or [0] for key in LENGTH]
    if all(max(length) > TOLERATED * min(length) for length in lengths):
        differing += LENGTH
        flat = {seed: of | {key: protocols[seed].get(key) for key in LENGTH} for seed, of in flat.items()}
    if differing:
        told = "; ".join(
            f"seed {seed}: {', '.join(f'{key} {of[key]}' for key in differing)}" for seed, of in flat.items()
        )
        raise UserError(
            f"{variant}: expected runs that differ in their seed alone, got {told}. Compare the sweeps one by one, or "
            "their folders in place of runs.json: settings that differ then tell them apart"
        )


def _differ(values: Sequence[Any]) -> bool:
    return any(value != values[0] for value in values[1:])


def _flattened(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
