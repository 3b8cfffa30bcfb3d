"""Matches the tensors of a file with those of a backbone, by the names of one family."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from tbe.checkpoints.foreign.family import Colors, Family
from tbe.checkpoints.foreign.files import Location

COUNTER = "num_batches_tracked"  # of batch norms; missing in older files and not used in computation
BLOCK = re.compile(r"blocks\.\d+")  # of our transformers
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Match(NamedTuple):
    """The result of matching a file with a backbone, as tensor names.

    colors: those of the family. where: the keys and the prefix in the file. matched, missing: tensors of the backbone.
    reshaped: tensors of the backbone that have another shape in the file. surplus: tensors of the file, of layers that
    the backbone lacks. folded: biases merged into batch norms. unexpected: other tensors of the file: heads, queues,
    other networks.
    """

    family: str
    colors: Colors | None
    where: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    surplus: tuple[str, ...]
    folded: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def total(self) -> int:
        """Returns the number of tensors of the backbone."""
        return len(self.matched) + len(self.missing) + len(self.reshaped)

    @property
    def share(self) -> float:
        """Returns the fraction of the backbone's tensors that the file provides."""
        return len(self.matched) / max(1, self.total)

    @property
    def lacking(self) -> list[str]:
        """Returns the blocks of a transformer of which the file has nothing, where it has others."""
        missing, matched = (_blocks(names) for names in (self.missing, self.matched))
        return sorted(missing - matched) if matched else []

    def __str__(self) -> str:
        where = f", under {self.where}" if self.where else ""
        parts = [f"matched {len(self.matched)} of {self.total} tensors ({self.family}{where})"]
        lists = {
            "missing": self.missing,
            "of another shape": self.reshaped,
            "of layers that the backbone lacks": self.surplus,
            "biases folded into batch norms": self.folded,
            "ignored": self.unexpected,
        }
        return "; ".join(parts + [f"{what} {listed(names)}" for what, names in lists.items() if names])


class Found(NamedTuple):
    """A match, its family, and the tensors by our names, ready to load; `misfit` as in Family."""

    match: Match
    family: Family
    tensors: dict[str, Tensor]
    misfit: str


def compare(backbone: nn.Module, wanted: dict[str, Tensor], family: Family, location: Location) -> Found:
    """Matches a file, read by the names of a family, with a backbone whose state dict is `wanted`."""
    given = family.join(location.tensors)
    theirs = {name: family.rename(name) for name in given}
    renamed = {ours: given[name] for name, ours in theirs.items() if ours is not None}
    same_shape = {name: value.shape == wanted[name].shape for name, value in renamed.items() if name in wanted}
    tensors = {name: renamed[name] for name, same in same_shape.items() if same}
    biases = {
        name: norm for name, norm in _biases(backbone).items() if {name, f"{norm}.running_mean"} <= renamed.keys()
    }
    match = Match(
        family=family.name,
        colors=family.colors,
        where=location.where,
        matched=_counted(tensors),
        missing=_counted(wanted.keys() - renamed.keys()),
        reshaped=_counted(name for name, same in same_shape.items() if not same),
        surplus=_counted(renamed.keys() - wanted.keys() - biases.keys()),
        folded=_counted(biases),
        unexpected=_counted([*(name for name, ours in theirs.items() if ours is None), *location.beside]),
    )
    means = {norm: renamed[name] for name, norm in biases.items()}
    return Found(match, family, _as_ours(backbone, family, tensors, means), family.misfit(backbone, given))


def listed(names: Collection[str], shown: int = 3) -> str:
    """Returns the number of names and the first few of them as text."""
    more = ", ..." if len(names) > shown else ""
    return f"{len(names)}: {', '.join(list(names)[:shown])}{more}"


def _blocks(names: Iterable[str]) -> set[str]:
    return {found[0] for found in map(BLOCK.match, names) if found}


def _counted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not name.endswith(COUNTER)))


def _biases(backbone: nn.Module) -> dict[str, str]:
    """Maps the bias that a convolution before a batch norm lacks to the name of that batch norm."""
    leaves = [(name, module) for name, module in backbone.named_modules() if not any(module.children())]
    return {
        f"{conv}.bias": norm
        for (conv, first), (norm, second) in pairwise(leaves)
        if isinstance(first, nn.Conv3d) and first.bias is None and isinstance(second, NORMS)
    }


def _as_ours(
    backbone: nn.Module, family: Family, tensors: dict[str, Tensor], biases: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Folds foreign biases and epsilons into the running statistics, so that the outputs stay the same.

    norm(maps + bias) equals a norm whose mean is smaller by the bias; a change of eps is added to the variance.
    """
    changed = dict(tensors)
    for name, norm in backbone.named_modules():
        mean, variance = f"{name}.running_mean", f"{name}.running_var"
        if name in biases and mean in tensors:
            changed[mean] = tensors[mean].float() - biases[name].float()
        if isinstance(norm, NORMS) and variance in tensors and family.eps not in (None, norm.eps):
            changed[variance] = tensors[variance].float() + (family.eps - norm.eps)
    return changed
