"""Refuses values that are not those by which protocols and caches know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tbe.errors import UserError

ABSENT = object()


def check_said_once(command: str, config: Mapping[str, Any], said_by: Mapping[str, str]) -> None:
    """Raises UserError for a key that differs from the one that says it; said_by: dotted keys -> that one.

    command: its name in the message. A key that the config lacks is no fault.
    """
    for key, named in said_by.items():
        value, said = _at(config, key), _at(config, named)
        if value is not ABSENT and value != said:
            raise UserError(
                f"{command}: expected {key} to be what {named} says, {said}, got {value}: set {named} in its place"
            )


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part, ABSENT) if isinstance(config, Mapping) else ABSENT
    return config
