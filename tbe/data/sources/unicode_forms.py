"""Finds file names with accents, which have two Unicode forms: macOS may write one, other systems the other."""

from __future__ import annotations

import os
from unicodedata import normalize


def path_on_disk(path: str) -> str:
    """Returns a path as it is on disk: names get their other Unicode form, NFC or NFD, if only that exists.

    A path of which neither form exists is returned unchanged.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    if not name or not folder:
        return path
    parent = path_on_disk(folder)
    forms = (os.path.join(parent, form) for form in (name, normalize("NFC", name), normalize("NFD", name)))
    return next((form for form in forms if os.path.lexists(form)), path)
