"""Restricts what the config in an untrusted checkpoint may build and decide."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from torch import nn

from tbe.errors import UserError

PACKAGES = ("tbe", "torch.nn", "torchvision")
VARIABLE = "TBE_PACKAGES"  # a user's own trusted packages, separated by commas
PLAIN = (dict, list, tuple, str, int, float, type(None))
# The attributes that identify data sets and readers, which need not inherit from a class.
SOURCE, READER = ("prepare", "has", "records"), ("__call__", "worker_context")
FENCE = "allow_outside_root"


def validate_config(config: Any, where: str) -> None:
    """Raises UserError for a config that would build anything but networks, data sets and readers.

    Stored configs are resolved, and interpolations refused: they would be evaluated only when the object is built.
    """
    for node in _nodes(config):
        if not isinstance(node, PLAIN):
            raise UserError(f"{where}: expected a config of plain types, got a {type(node).__name__}: not loaded")
        if isinstance(node, str) and "${" in node:
            raise UserError(f"{where}: expected a config without interpolations, got {node!r}: not loaded")
        if isinstance(node, dict) and "_target_" in node and not _is_buildable(node["_target_"]):
            raise UserError(
                f"{where}: expected a config with classes of {', '.join(packages())}, and of these only networks, "
                f"data sets and readers, got {node['_target_']!r}: not loaded. If it belongs to a package that "
                f"you trust, set {VARIABLE}=<package>"
            )


def strip_path_permissions(config: Any) -> Any:
    """Returns the config without permission to read videos outside of their root, which only a user may give."""
    if isinstance(config, dict):
        return {key: False if key == FENCE else strip_path_permissions(value) for key, value in config.items()}
    return [strip_path_permissions(value) for value in config] if isinstance(config, list | tuple) else config


def folder_name(name: Any) -> str:
    """Turns the name of a run into a relative path without `..`: `../../a/b` becomes `a/b`."""
    return "/".join(part for part in PurePosixPath(str(name)).parts if part not in ("/", "//", "..")) or "unnamed"


def _nodes(node: Any) -> Iterator[Any]:
    """Yields a config and all its nested values."""
    yield node
    inside = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
    for part in inside:
        yield from _nodes(part)


def _is_buildable(target: Any) -> bool:
    """Returns whether a `_target_` is a network, data set or reader class of ours or of a trusted package."""
    found = _found(target) if isinstance(target, str) else None
    if not isinstance(found, type) or not is_trusted(found.__module__):
        return False
    return issubclass(found, nn.Module) or any(all(name in dir(found) for name in kind) for kind in (SOURCE, READER))


def _found(target: str) -> Any:
    """Imports a target from a trusted package; returns None, and imports nothing, for anything else."""
    # Not attribute by attribute, as Hydra does: modules expose their imports, so 'tbe.config.os' would lead to os.
    module, _, name = target.rpartition(".")
    if not is_trusted(module):
        return None
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def is_trusted(module: str) -> bool:
    """Returns whether a module lies in one of `packages`."""
    return any(module == package or module.startswith(f"{package}.") for package in packages())


def packages() -> tuple[str, ...]:
    """Returns the packages that may be imported by name: ours, torch's networks, and those that the user names."""
    return (*PACKAGES, *filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))
