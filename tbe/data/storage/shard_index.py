"""The index of shards: which video lies where in which of them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tbe.data.storage.pieces import Places
from tbe.errors import UserError, first_line
from tbe.runs import replacing

INDEX = "index.npz"  # in the folder of the shards
VERSION = 1
COLUMNS = {"shard": np.int32, "offset": np.int64, "size": np.int64, "crc32": np.uint32}
FACTS = {"label": np.int64, "num_frames": np.int64}
TEXTS = ("path", "scene", "group")


@dataclass(frozen=True)
class ShardIndex:
    """The columns of an index, of n videos, at least one.

    places: where they lie. facts: `label` and `num_frames`, int64 (n,). texts: `path`, `scene` and `group`, one a line,
    empty where unknown.
    """

    places: Places
    facts: dict[str, np.ndarray]
    texts: dict[str, bytes]

    def __len__(self) -> int:
        return len(self.places.shard)

    def column(self, name: str) -> Iterator[str]:
        """Yields the path, scene or group of each video."""
        return (os.fsdecode(line[:-1]) for line in io.BytesIO(self.texts[name]))

    def places_of(self, paths: Iterable[bytes]) -> Places:
        """Returns the places of these videos, in this order; of such as it does not name, that no shard has them."""
        known, order = self._digests
        wanted = np.fromiter(map(hash, paths), np.int64)
        rows = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)]
        found = self.places.select(rows)
        found.shard[known[rows] != wanted] = -1
        return found

    @cached_property
    def _digests(self) -> tuple[np.ndarray, np.ndarray]:
        """A number for each path, and their order: a dictionary of ten million paths would take two gigabytes."""
        digests = np.fromiter((hash(line[:-1]) for line in io.BytesIO(self.texts["path"])), np.int64, len(self))
        return digests, np.argsort(digests, kind="stable")

    def write(self, file: Path) -> None:
        """Writes the index atomically, the same bytes for the same rows."""
        arrays = {"version": np.array(VERSION), "shards": _array(lines(self.places.shards))}
        arrays |= {name: getattr(self.places, name).astype(kind) for name, kind in COLUMNS.items()}
        arrays |= {name: self.facts[name].astype(kind) for name, kind in FACTS.items()}
        arrays |= {name: _array(self.texts[name]) for name in TEXTS}
        with replacing(file) as part, part.open("wb") as out:
            np.savez(out, **arrays)  # type: ignore[arg-type]  # arrays by name


def lines(texts: Sequence[str]) -> bytes:
    """Returns texts without line breaks as lines."""
    return b"".join(os.fsencode(text) + b"\n" for text in texts)


def read_index(content: bytes, where: str) -> ShardIndex:
    """Reads an index; raises UserError, naming `where` it came from, for anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if int(arrays["version"]) != VERSION:
                raise ValueError(f"version {int(arrays['version'])}, not {VERSION}")
            shards = tuple(arrays["shards"].tobytes().decode().splitlines())
            places = Places(shards, *(arrays[name].astype(kind) for name, kind in COLUMNS.items()))
            facts = {name: arrays[name].astype(kind) for name, kind in FACTS.items()}
            index = ShardIndex(places, facts, {name: arrays[name].tobytes() for name in TEXTS})
        _check(index)
    except Exception as error:  # corrupt bytes raise various errors of zip and NumPy
        raise UserError(
            f"{where}: expected the index that 'python -m tbe.prepare shards' writes, got another file "
            f"({first_line(error)}). Make it again, or copy it again"
        ) from error
    return index


def _check(index: ShardIndex) -> None:
    """Raises ValueError for columns that do not fit each other, and for places outside of the shards beside it."""
    places = index.places
    lengths = {len(column) for column in (places.shard, places.offset, places.size, places.crc32)}
    lengths |= {len(fact) for fact in index.facts.values()} | {text.count(b"\n") for text in index.texts.values()}
    if len(lengths) != 1 or not min(lengths):
        raise ValueError(f"columns of {' and '.join(map(str, sorted(lengths)))} rows")
    if any(name in ("", ".", "..") or "/" in name or "\\" in name for name in places.shards):
        raise ValueError("shards that do not lie beside it")
    if not 0 <= places.shard.min() <= places.shard.max() < len(places.shards):
        raise ValueError("videos in shards that it does not name")
    if min(places.offset.min(), places.size.min()) < 0:
        raise ValueError("negative places")


def _array(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
