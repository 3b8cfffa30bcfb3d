"""An error of a loader's worker, handed to the process of the run as it was raised.

PyTorch would raise another one there, with the traceback of the worker as its message and without its attributes.
"""

from __future__ import annotations

import pickle
import traceback


class HandedError:
    """Takes the place of a batch that could not be made; `again()` is why, caused by what the worker says of it."""

    def __init__(self, error: Exception, worker: int):
        self.error = _portable(error)
        self.told = f'\n\nIn worker {worker} of the loader:\n"""\n{"".join(traceback.format_exception(error))}"""'

    def again(self) -> Exception:
        """The error, to be raised."""
        self.error.__cause__ = _InWorker(self.told)
        return self.error


class _InWorker(Exception):
    """The traceback of a worker, in that of the run."""


def _portable(error: Exception) -> Exception:
    """The error where it crosses processes; one with its type and text where it doesn't."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own way of being copied raises
        return RuntimeError(f"{type(error).__name__}: {error}")
