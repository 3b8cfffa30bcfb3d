"""Copies of the small files of a bucket, such as lists and indices, on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePath

from tbe.data.storage.bucket import BucketStore
from tbe.data.storage.pieces import Piece
from tbe.errors import UserError
from tbe.runs import replacing


@dataclass(frozen=True)
class Copies:
    """Copies files of a store into `folder`, and again once they are others there; a process looks for each once."""

    store: BucketStore
    folder: Path
    _known: dict[str, Path | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, store: BucketStore, folder: str | None) -> Copies:
        """Returns the copies of this store below the folder of the cache; raises UserError without one."""
        if folder is None:
            raise UserError(f"data.cache.folder: expected a folder, for the lists of {store.address}, got null")
        return cls(store, Path(folder, "lists", blake2b(store.address.encode(), digest_size=16).hexdigest()))

    def file(self, name: str) -> Path | None:
        """Returns the copy of a file, None without such a file; raises UserError for a name that leads elsewhere."""
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:  # would be written elsewhere
            raise UserError(f"data: expected files below {self.store.address}, got {name!r}")
        if name not in self._known:
            self._known[name] = self._copied(name)
        return self._known[name]

    def _copied(self, name: str) -> Path | None:
        version = self.store.version(name)
        if version is None:
            return None
        copy, note = self.folder / name, self.folder / f"{name}.version"
        try:
            if copy.is_file() and note.is_file() and note.read_text() == version:
                return copy
            content = self.store.fetch(Piece(name))
            with replacing(copy) as part:
                part.write_bytes(content)
            with replacing(note) as part:  # last: a copy without it is made again
                part.write_text(version)
        except OSError as error:
            raise UserError(f"data.cache.folder: expected a folder with room for {copy}, got {error}") from error
        return copy
