"""Hands arrays to processes that start anew, which do not share memory as forked ones do, without a copy for each."""

from __future__ import annotations

import mmap
import os
import weakref
from multiprocessing import context, reduction
from typing import Any, NamedTuple

import numpy as np

MIN_BYTES = 2**20  # less is copied
_files: dict[tuple[int, str], int] = {}  # descriptors, by what they hold


def is_shared(num_bytes: int) -> bool:
    """Checks whether so many bytes are to be shared: they are pickled for a process that is starting, on Linux."""
    return num_bytes >= MIN_BYTES and context.get_spawning_popen() is not None and hasattr(os, "memfd_create")


class Shared(NamedTuple):
    """A file in memory that a starting process gets: its descriptor, and the array in it."""

    descriptor: Any
    dtype: str
    length: int

    def content(self) -> mmap.mmap:
        """Maps the file, in the process that got it; its slices are bytes."""
        descriptor = self.descriptor.detach()
        try:
            return mmap.mmap(descriptor, np.dtype(self.dtype).itemsize * self.length, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)

    def array(self) -> np.ndarray:
        """Maps the file as an array, which can't be written to."""
        return np.frombuffer(self.content(), self.dtype)


def shared(array: np.ndarray, owner: Any, name: str = "") -> Shared:
    """Writes an array into a file in memory, once for all processes; it goes when `owner` does.

    name: tells apart what one owner has.
    """
    key = (id(owner), name)
    if key not in _files:
        _files[key] = os.memfd_create(f"tbe{name}")
        with os.fdopen(os.dup(_files[key]), "wb") as file:
            file.write(np.ascontiguousarray(array).data)
        weakref.finalize(owner, _close, key)
    return Shared(reduction.DupFd(_files[key]), array.dtype.str, len(array))


def _close(key: tuple[int, str]) -> None:
    os.close(_files.pop(key))
