"""Locates, resolves and instantiates configs: everything that the entry points need from Hydra and OmegaConf."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tbe.errors import UserError


def config_dir() -> str:
    """Returns the folder of the configs: inside an installed package, next to it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return str(inside if inside.is_dir() else package.parent / "configs")


def register_resolvers(checkpoint_folder=None) -> None:
    """Registers `${absolute:}`, `${equal:}`, `${at_most:}`, `${part:}`, `${run_name:}` and `${run_folder:}`.

    at_most: clamps a number to [1, limit]. part: of a length in pixels, one of so many equal parts; at least 1.
    """
    OmegaConf.register_new_resolver("absolute", os.path.abspath, replace=True)
    OmegaConf.register_new_resolver("equal", lambda one, other: one == other, replace=True)
    OmegaConf.register_new_resolver("at_most", lambda value, limit: max(1, min(value, limit)), replace=True)
    OmegaConf.register_new_resolver("part", lambda length, parts: max(1, length // parts), replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    if checkpoint_folder is not None:
        OmegaConf.register_new_resolver("run_folder", checkpoint_folder, replace=True, use_cache=True)


def run_name(name: str, stage: str) -> str:
    """Returns the name of a recipe, with its stage appended unless that is pretraining or the name ends with it."""
    return name if stage == "pretrain" or name.endswith(stage) else f"{name}_{stage}"


def plain(config: DictConfig) -> dict[str, Any]:
    """Returns the config as plain, resolved types; raises UserError for a missing or unresolvable value."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]  # a dict
    except OmegaConfBaseException as error:
        where = f" (config key {error.full_key})" if error.full_key else ""
        raise UserError(f"{str(error).splitlines()[0]}{where}") from error


def build(config: dict[str, Any], **more: Any) -> Any:
    """Builds the object that a `_target_` node describes, with further keyword arguments."""
    return instantiate(config, **more)
