"""The config inside a checkpoint, whoever wrote the file: what it may build, and what it may not decide."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from torch import nn

from tbe.errors import UserError

PACKAGES = ("tbe", "torch.nn", "torchvision")
VARIABLE = "TBE_PACKAGES"  # names further packages, separated by commas: a user's own
PLAIN = (dict, list, tuple, str, int, float, type(None))
# What tells a data set and a reader of videos, of which a class need not inherit.
SOURCE, READER = ("prepare", "has", "records"), ("__call__", "worker_context")
FENCE = "allow_outside_root"


def validate_config(config: Any, where: str) -> None:
    """Refuses a config that would build something else than networks, data sets and readers; a ValueError names it.

    What is stored is resolved: an interpolation would only be looked at when the object is built.
    """
    for node in _nodes(config):
        if not isinstance(node, PLAIN):
            raise UserError(f"{where}: expected a config of plain types, got a {type(node).__name__}: not loaded")
        if isinstance(node, str) and "${" in node:
            raise UserError(f"{where}: expected a config with nothing left to resolve, got {node!r}: not loaded")
        if isinstance(node, dict) and "_target_" in node and not _is_buildable(node["_target_"]):
            raise UserError(
                f"{where}: expected a config with classes of {', '.join(_packages())}, and of them networks, data sets "
                f"and readers alone, got {node['_target_']!r}: not loaded. Where it is one of a package of your own, "
                f"say so: {VARIABLE}=<package>"
            )


def strip_path_permissions(config: Any) -> Any:
    """The same config without leave to read videos outside of their root: a user gives that, no file does."""
    if isinstance(config, dict):
        return {key: False if key == FENCE else strip_path_permissions(value) for key, value in config.items()}
    return [strip_path_permissions(value) for value in config] if isinstance(config, list | tuple) else config


def folder_name(name: Any) -> str:
    """The name of a run as a folder below another one: `../../a/b` becomes `a/b`."""
    return "/".join(part for part in PurePosixPath(str(name)).parts if part not in ("/", "//", "..")) or "unnamed"


def _nodes(node: Any) -> Iterator[Any]:
    """A config and all that is in it."""
    yield node
    inside = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
    for part in inside:
        yield from _nodes(part)


def _is_buildable(target: Any) -> bool:
    """Whether a `_target_` is a class of ours, or of a package that is trusted, of a kind that a checkpoint carries."""
    found = _found(target) if isinstance(target, str) else None
    if not isinstance(found, type) or not _is_inside(found.__module__):
        return False
    return issubclass(found, nn.Module) or any(all(name in dir(found) for name in kind) for kind in (SOURCE, READER))


def _found(target: str) -> Any:
    """What a target names in a module of a trusted package; None for all else, of which nothing is imported."""
    # Not step by step, as Hydra does: what a module imports is its attribute too, and 'tbe.config.os' a way to it.
    module, _, name = target.rpartition(".")
    if not _is_inside(module):
        return None
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def _is_inside(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in _packages())


def _packages() -> tuple[str, ...]:
    return (*PACKAGES, *filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))
