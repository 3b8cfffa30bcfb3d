"""Errors that a user can fix: their message says what was expected, what was given, where, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """An error in a command, a config or a file that the user can fix with the message alone.

    Commands end with that one line. Any other ValueError is a bug and keeps its traceback.
    """


class MissingFile(UserError, FileNotFoundError):
    """An expected file or folder does not exist."""


def first_line(error: BaseException) -> str:
    """Returns an error as one line: user and system errors as they are, others prefixed with their type."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if text and isinstance(error, (UserError, OSError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# cuDNN finds no algorithm where there is no memory for the workspace of one.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "find an engine", "valid cuDNN algorithm")


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether memory ran out, as torch's allocator, the driver, cuBLAS, cuDNN and the CPU say it."""
    is_of_torch = isinstance(error, RuntimeError)
    return is_of_torch and any(said in str(error) for said in OUT_OF_MEMORY)


@contextmanager
def ended_in_one_line() -> Iterator[None]:
    """Ends a command that has no run folder with one line for user and system errors.

    HYDRA_FULL_ERROR=1 shows the traceback.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if "HYDRA_FULL_ERROR" in os.environ:
            raise
        sys.exit(f"error: {error}")
