"""The folder of a data set's videos: files of their own, or shards with an index."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tbe.data.sources.records import Records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.data.storage.pieces import FolderStore, Store
from tbe.data.storage.shard_index import INDEX, ShardIndex, read_index


@dataclass(frozen=True)
class VideoRoot:
    """Says of records below a folder where their videos are read."""

    folder: str

    def located(self, records: Records) -> Records:
        """Returns the records with the store that their videos are read from, where they are no files on disk."""
        if self.index is None:
            return records
        return replace(records, store=self.store, places=self.index.places_of(records.paths))

    def has(self, records: Records, index: int) -> bool:
        """Checks whether there is a video where it is expected."""
        if records.places is not None:
            return records.places.has(index)
        return os.path.exists(path_on_disk(records.path(index)))

    @property
    def store(self) -> Store:
        return FolderStore(self.folder)

    @cached_property
    def index(self) -> ShardIndex | None:
        """The index of the shards, None for a folder of files; raises UserError for one that can't be read."""
        file = Path(self.folder, INDEX)
        return read_index(file.read_bytes(), str(file)) if file.is_file() else None
