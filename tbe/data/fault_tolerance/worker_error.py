"""Passes an error of a DataLoader worker to the main process as it was raised.

PyTorch would raise another error there, with the worker's traceback as its message and without its attributes.
"""

from __future__ import annotations

import pickle
import traceback


class WorkerError:
    """Takes the place of a batch that a worker failed to make, and carries the error and its traceback."""

    def __init__(self, error: Exception, worker: int):
        self.error = _portable(error)
        formatted = "".join(traceback.format_exception(error))
        self.traceback = f'\n\nIn worker {worker} of the loader:\n"""\n{formatted}"""'

    def original(self) -> Exception:
        """Returns the worker's error, for the main process to raise, with the worker's traceback as its cause."""
        self.error.__cause__ = _WorkerTraceback(self.traceback)
        return self.error


class _WorkerTraceback(Exception):
    """The traceback of a worker, shown in that of the main process."""


def _portable(error: Exception) -> Exception:
    """Returns the error if it can be pickled, else a RuntimeError with its type and text."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its own pickling raises
        return RuntimeError(f"{type(error).__name__}: {error}")
