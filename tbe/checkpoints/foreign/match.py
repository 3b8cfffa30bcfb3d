"""Which tensors of a file are a backbone's, under the names of one family."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from tbe.checkpoints.foreign.family import Family
from tbe.checkpoints.foreign.files import Location

COUNTER = "num_batches_tracked"  # of batch norms; older files have none, and nothing is computed from it
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Match(NamedTuple):
    """What a file gives to a backbone, as names of tensors.

    where: the keys and the prefix in the file. matched, missing: the backbone's tensors. reshaped: the backbone's
    that the file has in another shape. surplus: the file's, of layers that the backbone lacks. folded: biases that
    went into batch norms. unexpected: the file's that are not of the backbone: heads, queues, other networks.
    """

    family: str
    where: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    surplus: tuple[str, ...]
    folded: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def total(self) -> int:
        """Tensors of the backbone."""
        return len(self.matched) + len(self.missing) + len(self.reshaped)

    @property
    def share(self) -> float:
        """The part of the backbone's tensors that the file gives."""
        return len(self.matched) / max(1, self.total)

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
    """A match, its family, and the tensors under our names as the backbone takes them; `misfit` as in Family."""

    match: Match
    family: Family
    tensors: dict[str, Tensor]
    misfit: str


def compare(backbone: nn.Module, wanted: dict[str, Tensor], family: Family, location: Location) -> Found:
    """What the file gives to the backbone, whose state dict is `wanted`, if its names are those of the family."""
    theirs = {name: family.rename(name) for name in location.tensors}
    renamed = {ours: location.tensors[name] for name, ours in theirs.items() if ours is not None}
    same_shape = {name: value.shape == wanted[name].shape for name, value in renamed.items() if name in wanted}
    tensors = {name: renamed[name] for name, same in same_shape.items() if same}
    biases = {
        name: norm for name, norm in _biases(backbone).items() if {name, f"{norm}.running_mean"} <= renamed.keys()
    }
    match = Match(
        family=family.name,
        where=location.where,
        matched=_counted(tensors),
        missing=_counted(wanted.keys() - renamed.keys()),
        reshaped=_counted(name for name, same in same_shape.items() if not same),
        surplus=_counted(renamed.keys() - wanted.keys() - biases.keys()),
        folded=_counted(biases),
        unexpected=_counted([*(name for name, ours in theirs.items() if ours is None), *location.beside]),
    )
    means = {norm: renamed[name] for name, norm in biases.items()}
    return Found(match, family, _as_ours(backbone, family, tensors, means), family.misfit(backbone, theirs))


def listed(names: Collection[str], shown: int = 3) -> str:
    """How many there are, and the first of them."""
    more = ", ..." if len(names) > shown else ""
    return f"{len(names)}: {', '.join(list(names)[:shown])}{more}"


def _counted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not name.endswith(COUNTER)))


def _biases(backbone: nn.Module) -> dict[str, str]:
    """The bias that a convolution before a batch norm could have and hasn't -> the name of that batch norm."""
    leaves = [(name, module) for name, module in backbone.named_modules() if not any(module.children())]
    return {
        f"{conv}.bias": norm
        for (conv, first), (norm, second) in pairwise(leaves)
        if isinstance(first, nn.Conv3d) and first.bias is None and isinstance(second, NORMS)
    }


def _as_ours(
    backbone: nn.Module, family: Family, tensors: dict[str, Tensor], biases: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors with what is theirs alone put into the running statistics, so that the same is computed.

    norm(maps + bias) is norm with a mean less by the bias; variance + eps is the same sum with another eps.
    """
    changed = dict(tensors)
    for name, norm in backbone.named_modules():
        mean, variance = f"{name}.running_mean", f"{name}.running_var"
        if name in biases and mean in tensors:
            changed[mean] = tensors[mean].float() - biases[name].float()
        if isinstance(norm, NORMS) and variance in tensors and family.eps not in (None, norm.eps):
            changed[variance] = tensors[variance].float() + (family.eps - norm.eps)
    return changed
