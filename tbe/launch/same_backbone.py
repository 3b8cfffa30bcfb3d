"""Holds the backbone of a config against the one that weights were trained in, of which their shapes don't tell all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tbe.errors import UserError
from tbe.launch.quoting import key_of

# Says how the network is trained or where its first weights come from, not what it computes.
NOT_COMPUTED = {"drop_path", "weights"}


def named_over(theirs: Mapping[str, Any], config: DictConfig, overrides: Iterable[str]) -> DictConfig:
    """Returns the backbone of the weights, `theirs`, with the keys set over it that the command line names."""
    backbone = OmegaConf.create(dict(theirs))
    for key in _named(overrides):
        OmegaConf.update(backbone, key.removeprefix("backbone."), OmegaConf.select(config, key))
    return backbone


def chooses_group(overrides: Iterable[str]) -> bool:
    """Returns whether the command line chooses a backbone, and not only keys of one."""
    return any(key_of(override) == "backbone" for override in overrides)


def check_same(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any], where: str, overrides: Iterable[str]) -> None:
    """Raises UserError if a backbone differs from that of the weights in keys that the command line does not name.

    Such weights may fit and compute something else. Backbones of two classes are left to the loading of the weights.
    """
    if theirs is None or theirs.get("_target_") != ours.get("_target_"):
        return
    named = {key.removeprefix("backbone.") for key in _named(overrides)} | NOT_COMPUTED
    differing = [key for key in theirs if key in ours and key not in named and theirs[key] != ours[key]]
    if differing:
        told = ", ".join(f"{key} {theirs[key]} -> {ours[key]}" for key in differing)
        key = differing[0]
        raise UserError(
            f"{where}: expected the backbone that its weights were trained in, got one of other settings, which the "
            f"command does not say: {told}. Leave backbone= out, as a checkpoint brings its own, or, where the weights "
            f"fit and that is meant, add backbone.{key}={ours[key]}"
        )


def _named(overrides: Iterable[str]) -> list[str]:
    return [key for key in map(key_of, overrides) if key.startswith("backbone.")]
