"""A folder of what was read from elsewhere: bounded, shared by processes, and whole whenever one is killed."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tbe.runs import replacing

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

KEPT = 0.9  # the share of the limit that is kept when room is made
OLD = 600  # seconds after which an unfinished file is that of a process that was killed
FULL = (errno.ENOSPC, errno.EDQUOT)
DIGITS = 4  # bytes of a checksum


class Entry(NamedTuple):
    """A file of the cache: when it was used last, its size in bytes and its path."""

    used: float
    size: int
    path: str


@dataclass
class FileCache:
    """Keeps contents by their keys in files below `folder`, up to `limit` bytes, those that were used last.

    Processes of one machine may share it. A file appears when it is whole, and ends with a checksum, so that whatever
    ends a process or spoils a disk makes a content missing at most. Where nothing can be written, as on a disk that is
    full of other things, it warns once and keeps nothing more.
    """

    folder: Path
    limit: int
    _refused: list[str] = field(default_factory=list, repr=False, compare=False)

    def read(self, key: str) -> bytes | None:
        """Returns the content of a key, None if it is not there."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                packed = file.read()
            os.utime(path)
        except OSError:
            return None
        content = packed[:-DIGITS]
        if zlib.crc32(content).to_bytes(DIGITS, "big") != packed[-DIGITS:]:
            path.unlink(missing_ok=True)
            return None
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keeps a content, and makes room for it where it is needed."""
        if self._refused or len(content) + DIGITS > self.limit:
            return None
        try:
            self._write(key, content)
        except OSError as error:
            if error.errno in FULL and self.make_room(0.5):
                try:
                    return self._write(key, content)
                except OSError as again:
                    error = again
            self._refuse(error)

    def make_room(self, share: float = 1.0) -> int:
        """Removes what was used longest ago until a share of what is kept is left; returns how many files it removed.

        Also removes what killed processes have left unfinished, and counts anew what there is.
        """
        with self._locked() as size_file:
            return self._make_room(size_file, share)

    def _write(self, key: str, content: bytes) -> None:
        path = self._path(key)
        with replacing(path) as part:
            part.write_bytes(content + zlib.crc32(content).to_bytes(DIGITS, "big"))
        with self._locked() as size_file:
            size = _number(size_file) + len(content) + DIGITS
            size_file.write_text(str(size))
            if size > self.limit:
                self._make_room(size_file, 1.0)

    def _make_room(self, size_file: Path, share: float) -> int:
        entries = sorted(self._entries())
        size, removed = sum(entry.size for entry in entries), 0
        wanted = min(KEPT * self.limit if size > self.limit else size, share * size)
        for entry in entries:
            if size <= wanted:
                break
            Path(entry.path).unlink(missing_ok=True)
            size, removed = size - entry.size, removed + 1
        size_file.write_text(str(size))
        return removed

    def _entries(self) -> Iterator[Entry]:
        """Yields all files; removes those that are unfinished and old."""
        for folder in self.folder.glob("??"):
            for file in os.scandir(folder):
                try:
                    state = file.stat()
                    if not file.name.endswith(".part"):
                        yield Entry(state.st_mtime, state.st_size, file.path)
                    elif time.time() - state.st_mtime > OLD:
                        os.unlink(file.path)
                except FileNotFoundError:  # another process was faster
                    continue

    @contextmanager
    def _locked(self) -> Iterator[Path]:
        """Locks the count of bytes, and yields its file; without locks it may be wrong until room is made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "ab") as lock:
            try:
                if sys.platform != "win32":
                    fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:
                pass
            yield self.folder / "size"

    def _path(self, key: str) -> Path:
        digest = blake2b(os.fsencode(key), digest_size=20).hexdigest()
        return self.folder / digest[:2] / digest

    def _refuse(self, error: OSError) -> None:
        self._refused.append(str(error))
        log.warning(
            "data.cache.folder=%s: expected a folder with room, got %s. What is read is not kept, and read again each "
            "time; set data.cache.folder=<folder>, or data.cache.size to fewer GB",
            self.folder,
            error,
        )


def _number(file: Path) -> int:
    """Returns the number in a file, 0 if it has none."""
    try:
        return int(file.read_text() or 0)
    except (OSError, ValueError):
        return 0
