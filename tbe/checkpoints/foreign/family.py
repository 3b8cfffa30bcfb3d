"""Families of foreign networks: their tensor names, and how they differ from ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from torch import Tensor, nn


class Colors(NamedTuple):
    """How colors in [0, 1] are normalized, per channel: (value - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Colors((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = Colors((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # to [-1, 1]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def fits_always(backbone: nn.Module, names: Collection[str]) -> str:
    return ""


def as_they_are(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(tensors)


class Family(NamedTuple):
    """Networks of one code base that are equivalent to one of our backbones but use other tensor names.

    part: a pattern that starts the names of backbone tensors; others are heads and the like.
    rules: substitutions (pattern, replacement) that turn such a name into ours, applied in order.
    choose: the config of the matching backbone. eps: of their batch norms; None: same as ours.
    marker: a pattern that some name must match; unmarked: one that no name may match.
    misfit: (backbone, tensors by their names) -> why the backbone computes something else although they fit, or ''.
    join: puts together tensors of the file of which several are one of ours, before any is renamed.
    colors: those that the published weights were trained on; None: Kinetics', as ours, or not known.
    """

    name: str
    part: str
    rules: tuple[Rule, ...]
    choose: str
    eps: float | None = None
    marker: str = ""
    unmarked: str = ""
    misfit: Callable[[nn.Module, Mapping[str, Tensor]], str] = fits_always
    join: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = as_they_are
    colors: Colors | None = None

    def applies(self, names: Collection[str]) -> bool:
        """Returns whether some names belong to the backbone and the names satisfy `marker` and `unmarked`."""
        if not any(re.match(self.part, name) for name in names):
            return False
        if self.marker and not any(re.search(self.marker, name) for name in names):
            return False
        return not (self.unmarked and any(re.search(self.unmarked, name) for name in names))

    def rename(self, name: str) -> str | None:
        """Returns our name of a tensor; None if it does not belong to the backbone."""
        if not re.match(self.part, name):
            return None
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


def own(backbone: nn.Module) -> Family:
    """Returns the family of one of our backbones saved without a config."""
    children = "|".join(re.escape(name) for name, _ in backbone.named_children())
    values = "|".join(re.escape(name) for name, _ in backbone.named_parameters(recurse=False))
    # Those of a ViT with registers fit one without, which computes something else.
    part = rf"({children})\.|registers$" + (rf"|({values})$" if values else "")
    return Family("this project's own names", part=part, rules=(), choose="the backbone it was saved from")
