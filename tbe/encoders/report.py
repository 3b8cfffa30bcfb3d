"""The account of a load: how many tensors of an encoder were found, and which were not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tbe.errors import UserError

SHOWN = 3  # names in a message
RANDOM = "random weights"


@dataclass(frozen=True)
class LoadReport:
    """The tensors of an encoder, by name, and what a file had for them.

    source: where the weights are from, in a few words. total: of the encoder, without its head; matched: those that
    the file provides; missing: those it lacks; mismatched: those of another shape in the file. surplus: tensors of the
    file for layers that the encoder lacks; unexpected: its other tensors: heads, text towers, decoders.
    custom_code: whether code of the repository itself was run (trust_remote_code).
    """

    source: str
    total: int
    matched: int
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    custom_code: bool = False

    def require(self, name: str, min_matched: float, allow: Collection[str] = ()) -> None:
        """Raises UserError for an encoder of which less than `min_matched` was found, or found in another shape.

        name: of the encoder. allow: patterns (fnmatch) of tensors that do not count.
        """
        if self.is_random:
            return
        missing, mismatched, surplus = (
            [tensor for tensor in tensors if not matches(tensor, allow)]
            for tensors in (self.missing, self.mismatched, self.surplus)
        )
        if mismatched or surplus or (self.total - len(missing)) < min_matched * self.total:
            raise UserError(
                f"{name}: expected at least {min_matched:.0%} of the encoder's tensors, none in another shape and no "
                f"more layers than it has, got: {self}. Use the files and the config of one model; what may be "
                "missing all the same: allow=[<pattern>,...]"
            )

    @property
    def is_random(self) -> bool:
        """Returns whether no weights were asked for."""
        return self.source == RANDOM

    @property
    def share(self) -> float:
        """Returns the fraction of the encoder's tensors that the file provides."""
        return self.matched / max(1, self.total)

    def __str__(self) -> str:
        if self.is_random:
            return f"{RANDOM} ({self.total} tensors)"
        lists = {
            "missing": self.missing,
            "of another shape": self.mismatched,
            "of layers that the encoder lacks": self.surplus,
            "ignored": self.unexpected,
        }
        code = ["custom code of the repository was run"] if self.custom_code else []
        found = [f"{len(names)} {what} ({listed(names)})" for what, names in lists.items() if names]
        return "; ".join([f"matched {self.matched} of {self.total} tensors ({self.source})", *found, *code])


def listed(names: Collection[str]) -> str:
    """Returns the first names, and how many more there are."""
    first, more = list(names)[:SHOWN], len(names) - SHOWN
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def matches(name: str, patterns: Collection[str]) -> bool:
    """Returns whether a tensor's name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
