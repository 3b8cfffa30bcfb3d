"""Reads and writes lists as tables with named columns: CSV with a head, or Parquet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tbe.data.sources.list_rows import Rows
from tbe.data.sources.table_columns import Place, counts, encoded, joined_names, pyarrow_package, write_paths
from tbe.data.sources.text_columns import TextColumn
from tbe.data.sources.text_files import BYTE_ORDER_MARKS, to_utf8
from tbe.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = CSV, PARQUET = (".csv", ".parquet")
REQUIRED, NUMBERS, NAMES = ("path", "label"), ("label", "num_frames"), ("scene", "group")
COLUMNS = ("path", "label", "num_frames", "scene", "group")
BYTES_AT_ONCE, ROWS_AT_ONCE = 2**23, 2**18
GROUP = 2**20  # rows that lie together in a Parquet file
HEAD = 2**16  # bytes in which the head of a CSV ends


def is_table(file: str | os.PathLike) -> bool:
    """Checks whether a list is a table: Parquet, or a CSV whose first line has a column `path` between commas."""
    suffix = Path(file).suffix.lower()
    return suffix == PARQUET or (suffix == CSV and "path" in _head(file))


def table_rows(file: str | os.PathLike) -> Rows:
    """Reads the columns path and label, and num_frames, scene and group where they are; others are skipped.

    Raises UserError for a missing column, a value of another kind, a video without path or label, or an empty table.
    """
    texts, lengths, num_rows = io.BytesIO(), [], 0
    numbers: dict[str, list[np.ndarray]] = {name: [] for name in NUMBERS}
    names: dict[str, list[Any]] = {name: [] for name in NAMES}
    with _arrow_errors_in_one_line(file):
        for batch in _batches(file):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            place = Place(f"{file}: row", num_rows)
            lengths.append(write_paths(columns["path"], texts, place))
            for name in NUMBERS:
                numbers[name].append(counts(columns.get(name), batch.num_rows, name, place, name in REQUIRED))
            for name in NAMES:
                if name in columns:
                    names[name].append(encoded(columns[name]))
            num_rows += batch.num_rows
        if not num_rows:
            raise UserError(f"{file}: expected at least one row of {', '.join(REQUIRED)}, got an empty table")
        scenes, groups = (joined_names(names.pop(name)) for name in NAMES)
    all_lengths = np.concatenate(lengths)
    paths = TextColumn(texts.getvalue(), np.cumsum(all_lengths, dtype=np.int64) - all_lengths, all_lengths)
    _check_lines(paths, file)
    labels, num_frames = (np.concatenate(numbers.pop(name)) for name in NUMBERS)
    return Rows(paths, labels, num_frames, scenes, groups, is_table=True)


def write_table(file: Path, columns: Sequence[str], rows: Callable[[], Iterable[tuple]], suffix: str) -> None:
    """Writes rows of these columns, at least one, as the suffix says, some at a time.

    rows: gives all of them each time it is called, texts as Python decodes file names.
    """
    if suffix == PARQUET:
        _write_parquet(file, columns, rows)
        return
    with open(file, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows())


def _write_parquet(file: Path, columns: Sequence[str], rows: Callable[[], Iterable[tuple]]) -> None:
    """Writes numbers, texts, and as bytes the columns in which some text is not UTF-8."""
    pa = pyarrow_package()
    import pyarrow.parquet

    kinds = {name: pa.int64() if name in NUMBERS else pa.string() for name in columns}
    while True:
        try:
            with pyarrow.parquet.ParquetWriter(file, pa.schema(kinds)) as out:
                for group in _groups(kinds, rows()):
                    out.write_table(group)
        except _NotUtf8 as found:
            kinds[found.column] = pa.binary()
        else:
            return


def _groups(kinds: dict[str, pa.DataType], rows: Iterable[tuple]) -> Iterator[pa.Table]:
    """Yields the rows that lie together in a file; raises _NotUtf8 for bytes in a column of texts."""
    pa = pyarrow_package()
    rows, schema = iter(rows), pa.schema(kinds)
    parts = iter(lambda: list(zip(*islice(rows, ROWS_AT_ONCE), strict=True)), [])
    batches = (pa.record_batch(list(map(_array, kinds.items(), values)), schema) for values in parts)
    while some := list(islice(batches, GROUP // ROWS_AT_ONCE)):
        yield pa.Table.from_batches(some).combine_chunks()


def _array(column: tuple[str, pa.DataType], values: Sequence[Any]) -> pa.Array:
    pa = pyarrow_package()
    name, kind = column
    if pa.types.is_integer(kind):
        return pa.array(np.array(values, np.int64))
    try:
        return pa.array(list(map(os.fsencode, values)), pa.binary()).cast(kind)
    except pa.ArrowInvalid as error:
        raise _NotUtf8(name) from error


class _NotUtf8(Exception):
    """A column of texts has some that are not UTF-8."""

    def __init__(self, column: str):
        super().__init__(column)
        self.column = column


def _head(file: str | os.PathLike) -> list[str]:
    """Returns the names in the first line of a CSV, empty for an empty file."""
    with open(file, "rb") as content:
        start = content.read(HEAD)
    text = to_utf8(start, file).decode("utf-8", errors="replace")
    return [name.strip() for name in next(csv.reader(text.splitlines()[:1]), [])]


@contextmanager
def _arrow_errors_in_one_line(file: str | os.PathLike) -> Iterator[None]:
    """Raises UserError, naming the file, for what Arrow can't read."""
    pa = pyarrow_package()
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{file}: expected {_wanted()}, got an error: {' '.join(str(error).split())}") from error


def _batches(file: str | os.PathLike) -> Iterator[pa.RecordBatch]:
    """Yields some rows at a time of the known columns."""
    if Path(file).suffix.lower() == PARQUET:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(file) as table:
            yield from table.iter_batches(ROWS_AT_ONCE, columns=_known(table.schema_arrow.names, file))
    else:
        yield from _csv_batches(pyarrow_package(), file)


def _csv_batches(pa: Any, file: str | os.PathLike) -> Iterator[pa.RecordBatch]:
    import pyarrow.csv

    head = _head(file)
    known = _known(head, file)
    kinds = {name: pa.int64() if name in NUMBERS else pa.binary() for name in known}
    with open(file, "rb") as content:
        is_marked = content.read(4).startswith(tuple(BYTE_ORDER_MARKS))
    source = pa.BufferReader(to_utf8(Path(file).read_bytes(), file)) if is_marked else os.fspath(file)
    yield from pyarrow.csv.open_csv(
        source,
        # Of several threads none knows the number of a row that it refuses.
        pyarrow.csv.ReadOptions(block_size=BYTES_AT_ONCE, use_threads=False, column_names=head, skip_rows=1),
        convert_options=pyarrow.csv.ConvertOptions(column_types=kinds, include_columns=known, null_values=[""]),
    )


def _known(names: Sequence[str], file: str | os.PathLike) -> list[str]:
    """Returns the columns to read; raises UserError for one that is missing, or there twice."""
    missing = [name for name in REQUIRED if name not in names]
    twice = [name for name in COLUMNS if list(names).count(name) > 1]
    if missing or twice:
        got = f"{', '.join(names)}" if missing else f"{twice[0]} twice"
        raise UserError(f"{file}: expected {_wanted()}, got {got}")
    return [name for name in COLUMNS if name in names]


def _wanted() -> str:
    return f"columns {', '.join(REQUIRED)} (a whole number), and if known {', '.join(COLUMNS[2:])}"


def _check_lines(paths: TextColumn, file: str | os.PathLike) -> None:
    """Raises UserError for a path with a line break, which lists and reports can't hold."""
    place = paths.buffer.find(b"\n")
    if place >= 0:
        row = int(np.searchsorted(paths.starts, place, side="right"))
        raise UserError(f"{file}: row {row}: expected a path without line breaks, got {os.fsdecode(paths[row - 1])!r}")
