"""Reads the pairs of actions and backgrounds."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from tbe.errors import UserError

FORM = "{action: [background, number of frames, class]}"


def read_pairs(file: Path) -> dict[str, str]:
    """Reads action -> background, both '<class>/<video>'; raises UserError unless the pickle holds plain values."""
    try:
        with open(file, "rb") as content:
            pairs = _PlainValues(content).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise UserError(f"{file}: expected a pickle of {FORM}, got an error: {error}") from error
    if not isinstance(pairs, dict) or not pairs:
        raise UserError(f"{file}: expected {FORM}, got {str(pairs)[:100]}")
    for action, pair in pairs.items():
        if not isinstance(action, str) or not _is_pair(pair):
            raise UserError(f"{file}: expected {FORM}, got {str({action: pair})[:200]}")
    return {action: pair[0] for action, pair in pairs.items()}


class _PlainValues(pickle.Unpickler):
    """Unpickles numbers, strings, lists and the like, and refuses whatever a pickle would import."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which is refused")


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and [type(value) for value in pair] == [str, int, int]
