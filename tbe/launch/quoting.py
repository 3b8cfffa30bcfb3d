"""Reads the keys of overrides, and quotes values in printed commands for Hydra and for the shell, to be pasted."""

from __future__ import annotations

import re
import shlex

PLAIN = re.compile(r"[A-Za-z_/%][\w./%-]*", re.ASCII)  # what is the same to a shell, to Hydra and to OmegaConf
WORDS = ("true", "false", "null", "nan", "inf")  # which Hydra takes for something else, in any case


def override(key: str, value: object) -> str:
    """Returns `key=value` as one word of a shell's command line, which sets exactly this text whatever it contains."""
    return shlex.quote(f"{key}={quoted(str(value))}")


def key_of(override: str) -> str:
    """Returns the key or group that an override of a command line sets."""
    return override.lstrip("+~").partition("=")[0]


def quoted(text: str) -> str:
    """Returns a text as a value of Hydra's grammar, in double quotes unless it is plain.

    Backslashes are special there only before a quote, and before an interpolation, which OmegaConf would resolve.
    """
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return '"' + re.sub(r'(\\*)("|\Z)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), literal) + '"'
