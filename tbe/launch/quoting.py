"""What a printed command needs so that it can be pasted: quotes for Hydra's grammar, and around them the shell's."""

from __future__ import annotations

import re
import shlex

PLAIN = re.compile(r"[A-Za-z_/%][\w./%-]*", re.ASCII)  # what is the same to a shell, to Hydra and to OmegaConf
WORDS = ("true", "false", "null", "nan", "inf")  # which Hydra takes for something else, in any case


def override(key: str, value: object) -> str:
    """`key=value` as a word of a shell's command line that sets exactly this text, whatever letters it has."""
    return shlex.quote(f"{key}={quoted(str(value))}")


def quoted(text: str) -> str:
    """A text as a value of Hydra's grammar; in double quotes unless it is plain.

    There backslashes count before a quote alone, and before an interpolation, which OmegaConf would resolve.
    """
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return '"' + re.sub(r'(\\*)("|\Z)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), literal) + '"'
