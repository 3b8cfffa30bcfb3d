"""Writes the values of settings in one form, whether a command line or a config says them."""

from __future__ import annotations

import re
from typing import Any

WHOLE = re.compile(r"[-+]?\d+")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
QUOTED = re.compile(r"""(['"])(.*)\1""", re.DOTALL)


def as_text(value: Any) -> str:
    """Returns the text of a value, the same one for 1 and 1.0, true and True, a quoted and a plain name."""
    if isinstance(value, list):
        return f"[{','.join(map(as_text, value))}]"
    text = str(value)
    if quoted := QUOTED.fullmatch(text):
        text = quoted[2].replace(f"\\{quoted[1]}", quoted[1])
    if text.startswith("[") and text.endswith("]"):
        return f"[{','.join(as_text(part.strip()) for part in text[1:-1].split(','))}]"
    if text.lower() in ("true", "false"):
        return text.lower()
    if WHOLE.fullmatch(text):
        return str(int(text))
    if NUMBER.fullmatch(text):
        number = float(text)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return text
