"""Builds backbones, methods, data and more from the packaged configs, without a Hydra application."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tbe.config import config_dir, register_resolvers
from tbe.errors import UserError

GROUPS = ("augment", "backbone", "be", "consistency", "data", "loss", "method", "optimizer", "reader", "scheduler")
OBJECT = "_object_"  # the key of a node that holds an object passed by the caller
REFERENCE = re.compile(r"\$\{(\w+)")  # the name of a top-level key in an interpolation such as ${clip.size}


def build(group: str, choice: str, /, **overrides: Any) -> Any:
    """Builds a choice of a config group: `tbe.build("backbone", "r3d_18", width=16)`.

    The choices are the files `configs/<group>/<choice>.yaml`; for `optimizer`, returns a function of the parameters.
    An override is an argument of the class, a dict that changes keys of a nested one (`encoder={"dim": 64}`), or a key
    that the config refers to: `tbe.build("method", "moco", backbone="tiny")` or `backbone=<a network of yours>`,
    `tbe.build("augment", "modern", clip="8x2_64")`. Everything else is as in `configs/train.yaml` without a
    recipe. Raises UserError, with the valid names, for an unknown group, choice or override.
    """
    if group not in GROUPS:
        raise UserError(f"tbe.build: expected a group among {', '.join(GROUPS)}, got {group!r}")
    config = compose_choices({group: choice})
    referred = _references(config, group)
    chosen = {name: value for name, value in overrides.items() if name in referred}
    changed = {name: value for name, value in overrides.items() if name not in referred}
    node = resolve(config, group, chosen)
    _check_overrides(f"{group} {choice}", changed, node, referred)
    return _build(_merge(node, changed))


def compose_choices(choices: Mapping[str, str]) -> DictConfig:
    """Returns the training config with these group choices and no recipe; raises UserError for an unknown one."""
    for group, choice in choices.items():
        known = sorted(file.stem for file in Path(config_dir(), group).glob("[!_]*.yaml"))
        if choice not in known:
            raise UserError(f"{group}: expected a choice among {', '.join(known)}, got {choice!r}")
    return _compose(tuple(map("=".join, choices.items())), config_dir()).copy()


def resolve(config: DictConfig, group: str, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the node of a group as plain types, with replaced values of keys that it refers to.

    chosen: by key, the name of a choice if the key is a group, a value, a dict that changes single keys, or an object
    that is used unchanged.
    """
    config = config.copy()
    for name, value in (chosen or {}).items():
        if isinstance(value, str) and Path(config_dir(), name).is_dir():
            config[name] = compose_choices({name: value})[name]
        elif isinstance(value, Mapping):
            config[name] = OmegaConf.merge(config[name], value)
        elif isinstance(value, str | int | float | list | tuple | None):
            config[name] = value
        else:
            config[name] = OmegaConf.create({OBJECT: value}, flags={"allow_objects": True})
    return OmegaConf.to_container(config[group], resolve=True)  # type: ignore[return-value]  # a group is a dict


@cache  # unresolved: values that depend on the environment are looked up later
def _compose(overrides: tuple[str, ...], folder: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(folder, version_base="1.3"):
        config = compose("train", overrides=["experiment=none", *overrides])
    OmegaConf.set_struct(config, False)
    return config


def _references(config: DictConfig, group: str) -> set[str]:
    """Returns the top-level keys that a group refers to."""
    node = OmegaConf.to_container(config[group], resolve=False)
    return {name for name in REFERENCE.findall(repr(node)) if name in config}


def _check_overrides(where: str, given: Collection[str], node: Mapping[str, Any], referred: set[str]) -> None:
    """Raises UserError for overrides that neither the class accepts nor the config refers to."""
    parameters = inspect.signature(_import(node["_target_"])).parameters.values()
    known = {parameter.name for parameter in parameters} | {name for name in node if not name.startswith("_")}
    unknown = sorted(set(given) - known)
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        choices = ", ".join(sorted(known | referred))
        raise UserError(f"tbe.build: expected overrides of {where} among {choices}, got {', '.join(unknown)}")


def _merge(node: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the node with overrides; a dict changes single keys of a nested dict."""
    merged = dict(node)
    for name, value in overrides.items():
        is_nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if is_nested else value
    return merged


def _build(node: Any) -> Any:
    """Builds the object of a node; objects passed by the caller are not copied, and errors of classes not wrapped.

    Hydra's `instantiate` would do both.
    """
    if isinstance(node, list):
        return [_build(part) for part in node]
    if not isinstance(node, dict):
        return node
    if OBJECT in node:
        return node[OBJECT]
    arguments = {name: _build(part) for name, part in node.items() if name not in ("_target_", "_partial_")}
    if "_target_" not in node:
        return arguments
    target = _import(node["_target_"])
    return partial(target, **arguments) if node.get("_partial_") else target(**arguments)


def _import(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
