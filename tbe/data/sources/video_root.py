"""The folder of a data set's videos or lists: on disk or in a bucket, of files or of shards with an index."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tbe.data.sources.records import Records
from tbe.data.sources.unicode_forms import path_on_disk
from tbe.data.storage.addresses import check_address, is_address
from tbe.data.storage.bucket import BucketSettings, BucketStore, CacheSettings
from tbe.data.storage.copies import Copies
from tbe.data.storage.pieces import FolderStore, Piece, Store
from tbe.data.storage.shard_index import INDEX, ShardIndex, read_index
from tbe.errors import MissingFile, UserError


@dataclass(frozen=True)
class VideoRoot:
    """Finds files of a folder, and says of records where their videos are read.

    folder: a path, or an address such as s3://bucket/folder. bucket and cache: for addresses.
    """

    folder: str
    bucket: BucketSettings = field(default_factory=BucketSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)

    def __post_init__(self):
        if self.is_remote:
            check_address(self.folder, "data.root")

    @property
    def is_remote(self) -> bool:
        """Whether the folder is an address."""
        return is_address(self.folder)

    def file(self, name: str) -> Path:
        """Returns a file of the folder, or its copy on disk; may be a path at which there is none."""
        if not self.is_remote:
            return Path(self.folder, name)
        return self._copies.file(name) or self._copies.folder / f"{name}.missing"

    def named(self, name: str) -> str:
        """Returns the path or the address of a file, for messages."""
        return f"{self.folder.rstrip('/')}/{name}" if self.is_remote else str(Path(self.folder, name))

    def located(self, records: Records) -> Records:
        """Returns the records with the store that their videos are read from, where they are no files on disk."""
        if self.index is not None:
            return replace(records, store=self.store, places=self.index.places_of(records.paths))
        return replace(records, store=self.store) if self.is_remote else records

    def has(self, records: Records, index: int) -> bool:
        """Checks whether there is a video where it is expected."""
        if records.places is not None:
            return records.places.has(index)
        if self.is_remote:
            return self._bucket.version(os.fsdecode(records.paths[index])) is not None
        return os.path.exists(path_on_disk(records.path(index)))

    @property
    def store(self) -> Store:
        """What reads the files of the folder."""
        return self._bucket if self.is_remote else FolderStore(self.folder)

    @cached_property
    def index(self) -> ShardIndex | None:
        """The index of the shards, None for a folder of files; raises UserError for one that can't be read."""
        content = self._content(INDEX)
        return None if content is None else read_index(content, self.named(INDEX))

    def _content(self, name: str) -> bytes | None:
        """Returns the content of a file, through its copy if there may be one; None if there is no such file."""
        if self.is_remote and self.cache.folder is None:
            return None if self._bucket.version(name) is None else self._bucket.fetch(Piece(name))
        file = self.file(name)
        return file.read_bytes() if file.is_file() else None

    @cached_property
    def _bucket(self) -> BucketStore:
        return BucketStore(self.folder.rstrip("/"), self.bucket, self.cache.cache())

    @cached_property
    def _copies(self) -> Copies:
        return Copies.of(self._bucket, self.cache.folder)


def at_hand(path: str, option: str, bucket: BucketSettings, cache: CacheSettings) -> str:
    """Returns a path or an expression as it is, or the copy of a file at an address; raises MissingFile without it."""
    if not is_address(path):
        return path
    folder, _, name = path.rpartition("/")
    copy = VideoRoot(folder, bucket, cache).file(name)
    if not copy.is_file():
        raise MissingFile(f"{option}={path}: expected a file there, found none. Folders of lists must lie on disk")
    return str(copy)


def on_disk(masks: str) -> str:
    """Returns a folder of masks; raises UserError for an address."""
    if is_address(masks):
        raise UserError(f"data.masks={masks}: expected a folder on disk, got an address: copy the masks from there")
    return masks
