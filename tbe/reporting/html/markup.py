"""Builds HTML in which all text that is not `Markup` is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = {"circle", "img", "line", "meta", "path", "polyline"}


class Markup(str):
    """A string that is already HTML."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """Returns an element; attributes that are None or False are omitted, those that are True have no value.

    A trailing underscore of a Python keyword (`class_`) is dropped, and `_` within a name becomes `-`.
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    # SVG elements must be closed explicitly.
    return Markup(f"<{name}{written} />" if name in VOID else f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None]) -> Markup:
    """Concatenates elements and texts; skips None."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: str) -> str:
    if isinstance(child, Markup):
        return child
    # File names may contain bytes that are not valid text.
    return html.escape(child.encode("utf-8", "replace").decode())


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{_escaped(str(value))}"'
