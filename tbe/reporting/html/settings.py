"""Compares configs and extracts their main settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ABSENT = "–"
# Objects that stage/ composes from parts that appear elsewhere in the config.
WIRED = {"module", "datamodule", "callbacks", "logger", "trainer", "tasks", "crop_boxes"}
OWN_FOLDER = "<run>"

Row = tuple[str, list[str]]


def differences(configs: list[Mapping[str, Any]]) -> tuple[list[Row], list[Row]]:
    """Returns the keys whose values differ, with their values, and the keys that only repeat one of these.

    Nested keys are joined by dots, lists are one value. Folders below the run's own folder count as equal. A key
    repeats a shorter one if it has the same last name and the same values in all configs.
    """
    flat = [flattened(config, str(config.get("run_dir", ""))) for config in configs]
    keys = dict.fromkeys(key for config in flat for key in config)
    rows = {key: [config.get(key, ABSENT) for config in flat] for key in keys}
    differing = {key: values for key, values in rows.items() if len(set(values)) > 1}
    first: dict[tuple[str, ...], str] = {}
    for key in sorted(differing, key=lambda key: key.count(".")):
        first.setdefault((key.split(".")[-1], *differing[key]), key)
    shown = [row for row in differing.items() if row[0] in first.values()]
    return shown, [row for row in differing.items() if row[0] not in first.values()]


def flattened(config: Mapping[str, Any], own_folder: str = "", above: str = "") -> dict[str, str]:
    """Returns the values of all nested keys as text."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, own_folder, f"{name}.")
        else:
            flat[name] = format_value(value).replace(own_folder, OWN_FOLDER) if own_folder else format_value(value)
    return flat


def main_settings(config: Mapping[str, Any]) -> list[Row]:
    """Returns the main settings: scalar values, and each part as its class with its values."""
    kept = {key: value for key, value in config.items() if key not in WIRED and value not in (None, [], {})}
    return [(key, [_part(value) if isinstance(value, Mapping) else format_value(value)]) for key, value in kept.items()]


def format_value(value: Any) -> str:
    """Formats a value as in a config."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(format_value, value))}]"
    return str(value)


def _part(part: Mapping[str, Any]) -> str:
    name = str(part.get("_target_", "")).split(".")[-1]
    values = ", ".join(
        f"{key}={_part(value) if isinstance(value, Mapping) else format_value(value)}"
        for key, value in part.items()
        if not key.startswith("_") and value is not None
    )
    return f"{name}({values})" if name else values
