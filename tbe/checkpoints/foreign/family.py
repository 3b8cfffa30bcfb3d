"""What is known of another project's networks: the names of their tensors, and how they differ from ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from torch import nn

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def fits_always(backbone: nn.Module, names: Collection[str]) -> str:
    return ""


class Family(NamedTuple):
    """Networks of one code base that compute what a backbone of ours computes, under other names.

    part: a pattern at the beginning of the names that belong to the backbone; others are heads and the like.
    rules: substitutions (pattern, replacement) that turn such a name into ours, applied one after another.
    choose: the backbone to choose for them. eps: of their batch norms; None: as in ours.
    marker: a pattern that a name must have, `unmarked`: that none may have, where names alone do not tell.
    misfit: (backbone, names) -> why the backbone computes something else although its tensors fit; '' if it doesn't.
    """

    name: str
    part: str
    rules: tuple[Rule, ...]
    choose: str
    eps: float | None = None
    marker: str = ""
    unmarked: str = ""
    misfit: Callable[[nn.Module, Collection[str]], str] = fits_always

    def applies(self, names: Collection[str]) -> bool:
        """Whether there are names of the backbone, with the marker, and without that of another family."""
        if not any(re.match(self.part, name) for name in names):
            return False
        if self.marker and not any(re.search(self.marker, name) for name in names):
            return False
        return not (self.unmarked and any(re.search(self.unmarked, name) for name in names))

    def rename(self, name: str) -> str | None:
        """Our name of a tensor; None where it is not the backbone's."""
        if not re.match(self.part, name):
            return None
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


def own(backbone: nn.Module) -> Family:
    """A backbone of ours, saved without a config."""
    children = "|".join(re.escape(name) for name, _ in backbone.named_children())
    return Family(
        "this project's own names", part=rf"({children})\.", rules=(), choose="the backbone it was saved from"
    )
