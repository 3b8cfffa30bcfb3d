"""Refuses settings at their former places, and names the present ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tbe.checkpoints.moved_names import PLACES
from tbe.errors import UserError

TRAIN = {
    "arm": "variant",
    "arms": "variants",
    "least_matched": "min_matched",
    "be.least": "be.min_ratio",
    "augment.colour": "augment.color",
    "augment.grey": "augment.gray",
    "module.distracted": "module.distractor_views",
    "module.erase": "be",
    "task@evaluate": "task",
    **PLACES,
}
EVAL = {
    "least_matched": "min_matched",
    "num_workers": "datamodule.num_workers",
    "read_timeout": "datamodule.read_timeout",
    "channels_last": "performance.channels_last",
    "clips_at_once": "max_clips_per_forward",
}


def check(overrides: Iterable[str], moved: Mapping[str, str]) -> None:
    """Raises a UserError for the first override of a key that moved, with its place and the override there."""
    for override in overrides:
        key, equals, value = override.lstrip("+~").partition("=")
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            place = moved.get(".".join(parts[:length]))
            if equals and place:
                place = ".".join([place, *parts[length:]])
                raise UserError(f"{key} is now {place}: expected {place}={value}, got {override}")
