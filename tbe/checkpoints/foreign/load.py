"""Loads the content of a foreign file into a backbone, or raises an error that says which backbone to choose."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tbe.backbones.vit import ViT
from tbe.checkpoints.foreign import c3d, inception, resnets, torchvision, vit
from tbe.checkpoints.foreign.family import own
from tbe.checkpoints.foreign.files import locations
from tbe.checkpoints.foreign.match import Found, Match, compare, listed
from tbe.errors import UserError

USUAL = 0.9  # of a backbone's tensors: a file has the whole network, but for names that none knows
PUBLISHED_HEADS = (64, 80, 88)  # channels of a head of VideoMAE and V-JEPA, in all sizes
log = logging.getLogger(__name__)

FAMILIES = (*resnets.FAMILIES, *inception.FAMILIES, *c3d.FAMILIES, *torchvision.FAMILIES, *vit.FAMILIES)


def load(backbone: nn.Module, content: Any, path: str | os.PathLike, min_matched: float = 0.9) -> Match:
    """Loads the weights of a foreign file into a backbone; logs and returns the match.

    content: of the file at `path`. min_matched: the fraction of the backbone's tensors that it must provide. Raises
    UserError if it provides fewer, lacks a whole block of a transformer unless `min_matched` is below 0.9, has tensors
    of another shape or layers that the backbone lacks, or if the same tensors would compute something else.
    """
    found, *others = best(backbone, content, path)
    match = found.match
    wrong = match.share < min_matched or match.reshaped or match.surplus or found.misfit
    lacks_blocks = bool(match.lacking) and min_matched >= USUAL  # fewer are asked for where a part is meant
    if wrong or lacks_blocks or not match.matched:
        raise UserError(_refusal(backbone, found, path, min_matched))
    if others:
        places = " and ".join(repr(one.match.where) for one in (found, *others))
        raise UserError(
            f"{path}: expected one network that fits, got {1 + len(others)} different ones, under {places}. "
            "Save the tensors of only one: torch.save(network.state_dict(), <file>)"
        )
    backbone.load_state_dict(found.tensors, strict=False)
    log.info("%s: %s", path, match)
    if found.family in vit.FAMILIES and isinstance(backbone, ViT) and backbone.head_width not in PUBLISHED_HEADS:
        log.warning(
            "%s: weights do not tell the number of heads: expected that of their training, got backbone.heads of %d "
            "channels each (published: %s)",
            path,
            backbone.head_width,
            " or ".join(map(str, PUBLISHED_HEADS)),
        )
    if found.family is vit.VJEPA2 and "pos_embed" in match.unexpected:
        log.warning(
            "%s: holds a table of positions (pos_embed), which is left out, as V-JEPA 2 does: if these are weights of "
            "the first V-JEPA, choose backbone.positions=sincos",
            path,
        )
    if match.missing:
        log.warning("%s: these tensors keep their random initialization: %s", path, listed(match.missing, shown=10))
    return match


def best(backbone: nn.Module, content: Any, path: str | os.PathLike) -> list[Found]:
    """Returns the best matches of a network in the file and a family; several if they tie but differ."""
    wanted = backbone.state_dict()
    candidates = [
        compare(backbone, wanted, family, location)
        for location in locations(content)
        for family in (own(backbone), *FAMILIES)
        if family.applies(location.tensors)
    ]
    if not candidates:
        raise UserError(
            f"{path}: expected the tensors of a network of a known kind, bare or under a key such as 'state_dict' or "
            f"'model', got {_summary(content)}. Known are: {'; '.join(sorted({family.name for family in FAMILIES}))}"
        )
    found = max(candidates, key=_fit)
    return [found, *(other for other in candidates if _fit(other) == _fit(found) and not _same(other, found))]


def _fit(found: Found) -> tuple[float, int, bool]:
    """Ranks by the matched fraction, or below one half by the number of known names, to tell whose they are.

    Of two that share their names the one whose network computes what the backbone does.
    """
    match = found.match
    strange = len(match.reshaped) + len(match.surplus)
    ranked = (match.share, -strange) if match.share >= 0.5 else (0, len(match.matched) + strange)
    return *ranked, not found.misfit


def _same(one: Found, other: Found) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()
    )


def _refusal(backbone: nn.Module, found: Found, path: str | os.PathLike, min_matched: float) -> str:
    match = found.match
    reason = f" It can't be used: {found.misfit}." if found.misfit and match.share >= 0.5 else ""
    lower = ""
    if not (match.reshaped or match.surplus or reason):
        lower = ", or set min_matched lower" if match.share < min_matched else ""
        if match.lacking and not lower:
            reason += f" It lacks whole blocks of this backbone ({listed(match.lacking)})."
            lower = f", or, if a part of it is meant, set min_matched below {USUAL}"
    return (
        f"{path}: expected the weights of {type(backbone).__name__}, at least {min_matched:.0%} of its tensors and "
        f"none of another shape, got: {match}.{reason} The names are those of {match.family}: choose "
        f"{found.family.choose}{lower}."
    )


def _summary(content: Any) -> str:
    """Summarizes the content of a file in a few words."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    first = next(locations(content), None)
    return f"names such as {listed(first.tensors)}" if first else f"a dict of {listed(list(map(str, content)))}"
