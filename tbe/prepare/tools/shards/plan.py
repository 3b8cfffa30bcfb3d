"""Which video goes into which shard, and where."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

BLOCK, RECORD = 512, 10_240  # bytes; a tar file is made of blocks, and as long as whole records


class Sample(NamedTuple):
    """A video of a shard: a row of its csv. offset: in the shard, bytes; scene and group: empty if unknown."""

    key: str
    offset: int
    size: int
    crc32: int
    path: str
    label: int
    num_frames: int
    scene: str = ""
    group: str = ""

    def members(self) -> list[tuple[str, bytes | None]]:
        """Returns the names and contents of its files in the tar; None for that of the video, which comes first."""
        facts = {name: value for name, value in self._asdict().items() if name in FACTS and value != ""}
        video = self.key + PurePosixPath(self.path).suffix.lower()
        described = json.dumps(facts, sort_keys=True).encode()
        return [(video, None), (f"{self.key}.cls", str(self.label).encode()), (f"{self.key}.json", described)]

    def length(self) -> int:
        """Returns how many bytes it takes in the tar."""
        sizes = (self.size if content is None else len(content) for _, content in self.members())
        return sum(BLOCK + padded(size, BLOCK) for size in sizes)


FACTS = ("path", "label", "num_frames", "scene", "group")


class Shard(NamedTuple):
    """A tar file and the videos in it, in this order."""

    name: str
    samples: list[Sample]

    def length(self) -> int:
        """Returns the size of the tar file, in bytes."""
        return padded(sum(sample.length() for sample in self.samples) + 2 * BLOCK, RECORD)

    def table(self) -> bytes:
        """Returns its rows as csv, with a head."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([Sample._fields, *self.samples])
        return os.fsencode(text.getvalue())


def table_name(shard: str) -> str:
    """Returns the name of the csv of a shard."""
    return shard.removesuffix(".tar") + ".csv"


def plan_of(name: str, samples: Iterable[Sample], limit: int) -> list[Shard]:
    """Distributes the videos of a list over shards of up to `limit` bytes; a larger video has one for itself.

    samples: in their order, without offsets; without keys they are numbered.
    """
    shards: list[Shard] = []
    place = limit
    for number, sample in enumerate(samples):
        sample = sample._replace(key=sample.key or f"{number:09d}")
        length = sample.length()
        if place + length > limit - 2 * BLOCK:
            shards.append(Shard(f"{name}-{len(shards):06d}.tar", []))
            place = 0
        shards[-1].samples.append(sample._replace(offset=place + BLOCK))
        place += length
    return shards


def in_order(samples: Iterable[Sample], seed: int) -> list[Sample]:
    """Returns videos in an order that follows from the seed and their paths, whatever that of the list."""
    return sorted(samples, key=lambda sample: _rank(sample.path, seed))


def padded(size: int, unit: int) -> int:
    """Returns a size rounded up to whole units."""
    return -(-size // unit) * unit


def _rank(path: str, seed: int) -> bytes:
    return hashlib.blake2b(os.fsencode(f"{seed} {path}"), digest_size=16).digest()
