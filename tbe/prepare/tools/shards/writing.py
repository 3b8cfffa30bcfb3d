"""Writes shards as planned, and the index of all of them."""

from __future__ import annotations

import csv
import io
import os
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tbe.data.sources.unicode_forms import path_on_disk
from tbe.data.storage.pieces import Places
from tbe.data.storage.shard_index import INDEX, ShardIndex, lines
from tbe.errors import UserError
from tbe.prepare.common.lists import listable
from tbe.prepare.common.making import remove_parts
from tbe.prepare.tools.shards.plan import Sample, Shard, table_name
from tbe.runs import replacing

NUMBERS = ("offset", "size", "crc32", "label", "num_frames")  # columns of a table that are no texts


class ShardRow(NamedTuple):
    """A row of the report of shards; size: in bytes, 0 unless the status is ok."""

    path: str
    status: str
    size: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Writing:
    """Writes a shard of videos below root into out, atomically, by the csv that lies there; returns its size."""

    root: Path
    out: Path

    def __call__(self, name: str) -> int:
        shard = Shard(name, read_table(self.out / table_name(name)))
        with replacing(self.out / name) as part:
            with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as tar:
                for sample in shard.samples:
                    self._add(tar, sample)
            return part.stat().st_size

    def _add(self, tar: tarfile.TarFile, sample: Sample) -> None:
        content = Path(path_on_disk(os.path.join(self.root, sample.path))).read_bytes()
        if len(content) != sample.size or zlib.crc32(content) != sample.crc32:
            raise UserError(f"{sample.path}: expected the file that was looked at, got another: remove the reports")
        for name, described in sample.members():
            data = content if described is None else described
            member = tarfile.TarInfo(name)  # of nobody, and of the beginning of time
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def read_table(file: Path) -> list[Sample]:
    """Reads the rows of the csv of a shard."""
    with open(file, newline="", encoding="utf-8", errors="surrogateescape") as text:
        rows = list(csv.DictReader(text))
    numbered: list[dict[str, Any]] = [row | {name: int(row[name]) for name in NUMBERS} for row in rows]
    return [Sample(**row) for row in numbered]


def outdated(out: Path, shards: list[Shard]) -> list[Shard]:
    """Returns the shards that are not there as planned, once their tables are; removes what is there of them.

    Also removes what an earlier plan had more of, and the index where anything changes.
    """
    planned = {shard.name for shard in shards}
    lists = {shard.name.rpartition("-")[0] for shard in shards}
    surplus = [file for file in numbered_tars(out, lists) if file.name not in planned]
    changed = [shard for shard in shards if not is_there(out, shard)]
    if changed or surplus:
        (out / INDEX).unlink(missing_ok=True)
    for file in surplus:
        file.unlink()
        (out / table_name(file.name)).unlink(missing_ok=True)
    remove_parts(out, planned)
    for shard in changed:
        (out / shard.name).unlink(missing_ok=True)
        write_table(out, shard)
    return changed


def write_table(out: Path, shard: Shard) -> None:
    """Writes the csv of a shard."""
    with replacing(out / table_name(shard.name)) as part:
        part.write_bytes(shard.table())


def write_index(out: Path, shards: list[Shard]) -> None:
    """Writes the index of shards that are there."""
    numbered = [(number, sample) for number, shard in enumerate(shards) for sample in shard.samples]

    def column(name: str, kind: type) -> np.ndarray:
        return np.array([getattr(sample, name) for _, sample in numbered], kind)

    places = Places(
        tuple(shard.name for shard in shards),
        np.array([number for number, _ in numbered], np.int32),
        column("offset", np.int64),
        column("size", np.int64),
        column("crc32", np.uint32),
    )
    texts = {name: lines([getattr(sample, name) for _, sample in numbered]) for name in ("scene", "group")}
    texts["path"] = lines([listable(sample.path) for _, sample in numbered])
    facts = {name: column(name, np.int64) for name in ("label", "num_frames")}
    ShardIndex(places, facts, texts).write(out / INDEX)


def is_there(out: Path, shard: Shard) -> bool:
    """Checks whether a shard lies in a folder as planned."""
    tar, table = out / shard.name, out / table_name(shard.name)
    is_planned = table.is_file() and table.read_bytes() == shard.table()
    return is_planned and tar.is_file() and tar.stat().st_size == shard.length()


def numbered_tars(out: Path, lists: set[str]) -> list[Path]:
    """Returns the tar files in a folder that are named as shards of these lists."""
    name = re.compile(rf"({'|'.join(map(re.escape, lists))})-\d{{6}}\.tar")
    return sorted(file for file in out.glob("*.tar") if name.fullmatch(file.name))
