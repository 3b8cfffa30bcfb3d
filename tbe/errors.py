"""What a user can put right: errors whose message says what was expected, what came, where, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something in a command, a config or a file that its user can put right; the message is all they need.

    Commands end with that one line. A ValueError that is not one is a fault of a program, and keeps its traceback.
    """


class MissingFile(UserError, FileNotFoundError):
    """A file or a folder that was expected and is not there."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line: that of a user or of the system as it is, any other after its type."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if text and isinstance(error, (UserError, OSError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def ended_in_one_line() -> Iterator[None]:
    """Ends a command without a run's folder with one line for what a user can put right, the system's errors included.

    HYDRA_FULL_ERROR=1 shows where it came from.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        sys.exit(f"error: {error}")
