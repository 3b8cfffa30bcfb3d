"""The configs as files and as plain types: all that the entry points need of Hydra and OmegaConf."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tbe.errors import UserError


def config_dir() -> str:
    """The folder of the configs: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return str(inside if inside.is_dir() else package.parent / "configs")


def register_resolvers(checkpoint_folder=None) -> None:
    """Makes `${absolute:}`, `${equal:}`, `${at_most:}`, `${run_name:}` and `${run_folder:}` known.

    at_most: a number no larger than a limit and no smaller than 1.
    """
    OmegaConf.register_new_resolver("absolute", os.path.abspath, replace=True)
    OmegaConf.register_new_resolver("equal", lambda one, other: one == other, replace=True)
    OmegaConf.register_new_resolver("at_most", lambda value, limit: max(1, min(value, limit)), replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    if checkpoint_folder is not None:
        OmegaConf.register_new_resolver("run_folder", checkpoint_folder, replace=True, use_cache=True)


def run_name(name: str, stage: str) -> str:
    """The name of a recipe, and of its stage unless it is pretraining or the name says it."""
    return name if stage == "pretrain" or name.endswith(stage) else f"{name}_{stage}"


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as dictionaries, lists, strings and numbers, with nothing left to resolve; or a UserError."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]  # a dict
    except OmegaConfBaseException as error:
        where = f" (config key {error.full_key})" if error.full_key else ""
        raise UserError(f"{str(error).splitlines()[0]}{where}") from error


def build(config: dict[str, Any], **more: Any) -> Any:
    """The object that a `_target_` node describes, with what else its class is to be given."""
    return instantiate(config, **more)
