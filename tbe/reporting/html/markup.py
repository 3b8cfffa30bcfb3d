"""HTML in which text can't become markup: what is not `Markup` already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = {"circle", "img", "line", "meta", "path", "polyline"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """An element; attributes that are None or False are left out, those that are True have no value.

    A Python keyword takes an underscore at its end (`class_`), and `_` within a name stands for `-`.
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    # Within a drawing an element is only closed where it says so.
    return Markup(f"<{name}{written} />" if name in VOID else f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None]) -> Markup:
    """Elements and texts after each other; None is nothing."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: str) -> str:
    if isinstance(child, Markup):
        return child
    # Names of files may hold bytes that are no text.
    return html.escape(child.encode("utf-8", "replace").decode())


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{_escaped(str(value))}"'
