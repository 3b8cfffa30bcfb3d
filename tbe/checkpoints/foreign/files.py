"""Files of unknown origin: read as tensors and plain types, searched for state dicts."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tbe.data.mistaken_files import mistaken
from tbe.errors import UserError

# Copies that follow the trained network, and frozen second networks: what is named so is never loaded.
FOLLOWERS = frozenset({"k", "key", "momentum", "ema", "teacher", "target", "sampler"})
NUMBERS = "?bhilqBHILQefdFD"  # NumPy's codes of truth values, whole, real and complex numbers
DEPTH = 3  # dictionaries within dictionaries; tensors lie at the first or second level in all known files


class Location(NamedTuple):
    """Where a network lies in a file: tensors by name without their common prefix, and what lies beside them."""

    where: str
    tensors: dict[str, Tensor]
    beside: list[str]


def read(path: str | os.PathLike) -> Any:
    """What a file of torch.save or safetensors holds; a ValueError for one that holds more than tensors and types."""
    # An open file, not a path: torch judges a path by its ending.
    with open(path, "rb") as file:
        if _is_safetensors(file):
            return _read_safetensors(path)
        if other := mistaken(path):
            raise UserError(f"{path}: expected weights, got {other}")
        try:
            # Many training scripts save beside the weights their arguments, which are attributes without behaviour, and
            # their best score as a number of NumPy.
            with torch.serialization.safe_globals([Namespace, *_numbers_of_numpy()]):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a pickle that is broken can raise any
            raise _not_loaded(path, error) from error


def _numbers_of_numpy() -> list[Any]:
    """What pickles of NumPy's scalars are made of, under its names of before and since version 2."""
    scalar = np.float64(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    return [*((scalar, name) for name in names), np.dtype, *{type(np.dtype(code)) for code in NUMBERS}]


def locations(content: Any) -> Iterator[Location]:
    """Every place in the content of a file at which the tensors of a network may begin."""
    for where, tensors in _state_dicts(content):
        for prefix in sorted(_prefixes(tensors)):
            if FOLLOWERS.isdisjoint(f"{where}.{prefix}".replace("_", ".").split(".")):
                inside = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
                beside = [name for name in tensors if not name.startswith(prefix)]
                yield Location(" ".join(filter(None, (where, prefix))), inside, beside)


def _state_dicts(content: Any, where: str = "", depth: int = DEPTH) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Dictionaries with named tensors, each with the keys that lead to it."""
    if not isinstance(content, Mapping) or not depth:
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for key, value in named.items():
        yield from _state_dicts(value, f"{where}.{key}" if where else key, depth - 1)


def _prefixes(names: Mapping[str, Tensor]) -> set[str]:
    """All beginnings of names that end with a dot, and the empty one."""
    return {"", *(name[: end + 1] for name in names for end, letter in enumerate(name) if letter == ".")}


def _is_safetensors(file: BinaryIO) -> bool:
    """Such a file is eight bytes of length and a JSON object; torch's zip archives and pickles have no brace there."""
    start = file.read(9)
    file.seek(0)
    return start[8:] == b"{"


def _read_safetensors(path: str | os.PathLike) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise UserError(f"{path}: expected the package safetensors for this file: pip install safetensors") from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _not_loaded(path, error) from error


def _not_loaded(path: str | os.PathLike, error: Exception) -> UserError:
    # torch's text begins with the advice to load without `weights_only`, which is no advice for such a file.
    said = re.search(r"unsupported .*", str(error), re.IGNORECASE)
    reason = (said[0] if said else str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return UserError(
        f"{path}: expected tensors and plain types, got a file that does not load as such ({reason}). "
        "Where its origin is trusted, save the tensors alone: torch.save(network.state_dict(), <file>)"
    )
