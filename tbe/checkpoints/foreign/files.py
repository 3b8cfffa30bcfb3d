"""Reads files of unknown origin as tensors and plain types, and finds state dicts in them."""

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

# Moving averages of the trained network and frozen teachers: networks with these names are never loaded.
FOLLOWERS = frozenset({"k", "key", "momentum", "ema", "teacher", "target", "sampler"})
NUMBERS = "?bhilqBHILQefdFD"  # NumPy's type codes of booleans, integers, floats and complex numbers
DEPTH = 3  # nested dictionaries; in all known files tensors are at the first or second level


class Location(NamedTuple):
    """A network in a file: its tensors by name without the common prefix, and the rest of the file."""

    where: str
    tensors: dict[str, Tensor]
    beside: list[str]


def read(path: str | os.PathLike) -> Any:
    """Reads a torch.save or safetensors file; raises UserError for content beyond tensors and plain types."""
    # An open file, not a path: torch chooses the format by a path's suffix.
    with open(path, "rb") as file:
        if _is_safetensors(file):
            return _read_safetensors(path)
        if other := mistaken(path):
            raise UserError(f"{path}: expected weights, got {other}")
        try:
            # Many training scripts also save their argparse arguments, which are harmless, and their best score as
            # a NumPy scalar.
            with torch.serialization.safe_globals([Namespace, *_numbers_of_numpy()]):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a broken pickle can raise anything
            raise _not_loaded(path, error) from error


def _numbers_of_numpy() -> list[Any]:
    """Returns the classes in pickles of NumPy scalars, under their names before and since NumPy 2."""
    scalar = np.float64(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    return [*((scalar, name) for name in names), np.dtype, *{type(np.dtype(code)) for code in NUMBERS}]


def locations(content: Any) -> Iterator[Location]:
    """Yields every location in a file's content where the tensors of a network may start."""
    for where, tensors in _state_dicts(content):
        for prefix in sorted(_prefixes(tensors)):
            if FOLLOWERS.isdisjoint(f"{where}.{prefix}".replace("_", ".").split(".")):
                inside = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
                beside = [name for name in tensors if not name.startswith(prefix)]
                yield Location(" ".join(filter(None, (where, prefix))), inside, beside)


def _state_dicts(content: Any, where: str = "", depth: int = DEPTH) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yields dictionaries with named tensors, each with the keys that lead to it."""
    if not isinstance(content, Mapping) or not depth:
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for key, value in named.items():
        yield from _state_dicts(value, f"{where}.{key}" if where else key, depth - 1)


def _prefixes(names: Mapping[str, Tensor]) -> set[str]:
    """Returns all prefixes of names that end with a dot, and the empty one."""
    return {"", *(name[: end + 1] for name in names for end, letter in enumerate(name) if letter == ".")}


def _is_safetensors(file: BinaryIO) -> bool:
    """Returns whether a file is safetensors: a length of eight bytes, then a JSON object, unlike zips and pickles."""
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
    # torch's message starts by suggesting to load without `weights_only`, which is unsafe for such a file.
    said = re.search(r"unsupported .*", str(error), re.IGNORECASE)
    reason = (said[0] if said else str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return UserError(
        f"{path}: expected tensors and plain types, got a file that does not load as such ({reason}). "
        "If you trust its origin, save only the tensors: torch.save(network.state_dict(), <file>)"
    )
