"""The files of a folder in a bucket or on a server, read through fsspec and kept on disk."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tbe.data.storage.addresses import check_address, check_library
from tbe.data.storage.clients import file_system
from tbe.data.storage.file_cache import FileCache
from tbe.data.storage.pieces import LostPiece, Piece, checked
from tbe.data.storage.reading_ahead import ReadingAhead
from tbe.data.storage.retrying import asked
from tbe.errors import UserError

GB, MB = 10**9, 10**6


@dataclass(frozen=True)
class BucketSettings:
    """How a bucket is asked.

    anonymous: without credentials, for public ones. timeout: seconds that one answer may take, and one more for each
    MB; patience: seconds after which a store that does not answer ends the run. ahead: videos that a worker reads in
    advance; 0 for none.
    """

    anonymous: bool = False
    timeout: float = 60.0
    patience: float = 300.0
    ahead: int = 4

    def __post_init__(self):
        if self.timeout <= 0 or self.patience < 0 or self.ahead < 0:
            got = f"{self.timeout}, {self.patience} and {self.ahead}"
            raise UserError(f"data.bucket: expected timeout above 0, patience and ahead of at least 0, got {got}")


@dataclass(frozen=True)
class BucketStore:
    """The files of the folder that an address names; whatever process asks has its own connections.

    cache: of what is read, None for none.
    """

    address: str
    settings: BucketSettings
    cache: FileCache | None = None
    _processes: dict[int, _Connection] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self):
        check_address(self.address, "data.root")
        check_library(self.address, "data.root")

    def read(self, piece: Piece) -> bytes:
        """Returns the bytes of a piece, from the cache or the bucket; raises LostPiece if they are missing or changed.

        Raises StoreRefused if the store does not answer, or does not let one read.
        """
        ahead = self._connection().ahead
        return self._read(piece) if ahead is None else ahead.take(piece)

    def prefetch(self, pieces: list[Piece]) -> None:
        """Begins to read pieces that will be asked for in this order, in the background."""
        if (ahead := self._connection().ahead) is not None:
            ahead.begin(pieces)

    def wait(self, piece: Piece) -> None:
        """Waits until a piece is read, or can't be, if it is read in the background."""
        if (ahead := self._connection().ahead) is not None:
            ahead.wait(piece)

    def version(self, file: str) -> str | None:
        """Returns a text that changes with the content of a file, None if there is no such file."""
        try:
            facts = self._asked(file, lambda files: files.info(f"{self.address}/{file}"))
        except LostPiece:
            return None
        known = (facts.get(name) for name in ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified"))
        return f"{facts.get('size')} {next(filter(None, known), '')}" if facts.get("type") == "file" else None

    def _read(self, piece: Piece) -> bytes:
        key = f"{self.address}/{piece.file}\0{piece.offset} {piece.size} {piece.crc32}"
        content = self.cache.read(key) if self.cache else None
        if content is None:
            content = self.fetch(piece)
            if self.cache:
                self.cache.write(key, content)
        return content

    def fetch(self, piece: Piece) -> bytes:
        """Returns the bytes of a piece, from the bucket; errors as of `read`."""
        return self._asked(piece.file, lambda files: checked(piece, self._requested(files, piece)))

    def _requested(self, files: Any, piece: Piece) -> bytes:
        """Asks once for the bytes of a piece."""
        from fsspec.asyn import sync

        path = f"{self.address}/{piece.file}"
        end = None if piece.size is None else piece.offset + piece.size
        if not files.async_impl:
            return files.cat_file(path, start=piece.offset, end=end, cache_type="none")  # no more than it is asked for
        seconds = self.settings.timeout * 10 if piece.size is None else self.settings.timeout + piece.size / MB
        stripped = files._strip_protocol(path)
        return sync(files.loop, files._cat_file, stripped, start=piece.offset, end=end, timeout=seconds)

    def _asked(self, file: str, ask: Any) -> Any:
        connection = self._connection()
        return asked(
            lambda: ask(connection.files()), f"{self.address}/{file}", self.settings.patience, connection.renew
        )

    def _connection(self) -> _Connection:
        process = os.getpid()
        if process not in self._processes:
            self._processes[process] = _Connection(self)
        return self._processes[process]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_processes": {}}


class _Connection:
    """What one process has of a store: its file system, and threads that read ahead."""

    def __init__(self, store: BucketStore):
        self.store = store
        self.lock = threading.Lock()
        self.found: Any = None
        ahead = store.settings.ahead
        self.ahead = ReadingAhead(store._read, ahead) if ahead else None

    def files(self) -> Any:
        """Returns the file system of fsspec, which is made when it is first asked for."""
        with self.lock:
            if self.found is None:
                self.found = file_system(self.store.address, self.store.settings.anonymous, self.store.settings.timeout)
            return self.found

    def renew(self) -> None:
        """Makes another file system, which looks for credentials anew, when it is asked for."""
        with self.lock:
            self.found = None


@dataclass(frozen=True)
class CacheSettings:
    """Where what is read from a bucket is kept: a folder, null for none, and its size in GB."""

    folder: str | None = None
    size: float = 50.0

    def __post_init__(self):
        if self.size < 0:
            raise UserError(f"data.cache.size: expected GB of at least 0, got {self.size}")

    def cache(self) -> FileCache | None:
        """Returns the cache of videos."""
        if self.folder is None or not self.size:
            return None
        return FileCache(Path(self.folder, "videos"), round(self.size * GB))
