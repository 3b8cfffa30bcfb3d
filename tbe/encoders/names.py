"""What the loaders of all libraries share: `<name>@<weights>`, changes of the spec, and a Hub out of reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor

from tbe.encoders.base import InputSpec
from tbe.errors import UserError, first_line, is_out_of_memory

RANDOM = "random"  # in place of weights
FIELDS = tuple(field.name for field in dataclasses.fields(InputSpec) if field.name != "layout")


class Settings(NamedTuple):
    """The arguments of `load_encoder` that are those of every loader."""

    pool: str | None
    min_matched: float
    allow: tuple[str, ...]
    trust_remote_code: bool


class Asked(NamedTuple):
    """The two parts of `<name>@<weights>`."""

    name: str
    weights: str

    @classmethod
    def of(cls, text: str) -> Asked:
        """Splits a text; without weights they are the library's own."""
        name, _, weights = text.partition("@")
        return cls(name, weights or "DEFAULT")


def changed(spec: InputSpec, options: Mapping[str, Any]) -> tuple[InputSpec, dict[str, Any]]:
    """Returns the spec with those options that are its fields, and the others; `size` may be one number."""
    own = {name: value for name, value in options.items() if name in FIELDS}
    if isinstance(own.get("size"), int):
        own["size"] = (own["size"], own["size"])
    for name in ("size", "mean", "std", "crop"):
        if name in own and not isinstance(own[name], (int, float)):
            own[name] = tuple(own[name])
    return dataclasses.replace(spec, **own), {name: value for name, value in options.items() if name not in own}


def check_known(name: str, unknown: Collection[str], known: Collection[str] = ()) -> None:
    """Raises UserError for options that neither the spec nor the loader has."""
    if unknown:
        raise UserError(
            f"{name}: expected options among {', '.join((*FIELDS, *known))}, got {', '.join(sorted(unknown))}"
        )


def check_no_allow(
    name: str, settings: Settings, instead: str = "min_matched=<share> says how many tensors may be missing"
) -> None:
    """Raises UserError for tensors that may be missing, of a loader that knows only how many, or none of them."""
    if settings.allow:
        raise UserError(
            f"{name}: expected no allow=, which is for models of transformers and timm, got "
            f"{', '.join(settings.allow)}: {instead}"
        )


@contextmanager
def reached(name: str, instead: str, files: str) -> Iterator[None]:
    """Turns a failed download into one line that says where to put the files."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each library for downloads has errors of its own
        raise UserError(
            f"{name}: expected to download its weights, got {first_line(error)}. Where there is no network, copy "
            f"{files} here and name it: {instead}"
        ) from error


@contextmanager
def takes_options(name: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Turns what a network says of options that it does not take into one line."""
    try:
        yield
    except UserError as error:
        cause = error.__cause__
        if not options or not isinstance(cause, TypeError):
            raise
        raise _not_taken(name, options, cause) from cause
    except TypeError as error:
        if not options:
            raise
        raise _not_taken(name, options, error) from error


def _not_taken(name: str, options: Mapping[str, Any], error: Exception) -> UserError:
    return UserError(
        f"{name}: expected options of the network or among {', '.join(FIELDS)}, got {', '.join(options)}, of which it "
        f"says: {first_line(error)}"
    )


@contextmanager
def answered(name: str, inputs: Tensor) -> Iterator[None]:
    """Turns what a network of others raises for clips into one line; running out of memory stays what it is."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # code of others raises anything
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{name}: expected a network that takes normalized clips {tuple(inputs.shape)}, got {first_line(error)}. "
            "Load it with the num_frames= and size= that it was made for"
        ) from error
