"""Names with accents, which have two forms in Unicode: a Mac may write one, all others write the other."""

from __future__ import annotations

import os
from unicodedata import normalize


def found_path(path: str) -> str:
    """A path as it is on the disk: with names in their other Unicode form, composed or not, where only that is there.

    Paths of which neither form is there stay as they are.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    folder, name = os.path.split(path)
    if not name or not folder:
        return path
    forms = (os.path.join(found_path(folder), form) for form in (name, normalize("NFC", name), normalize("NFD", name)))
    return next((form for form in forms if os.path.lexists(form)), path)
