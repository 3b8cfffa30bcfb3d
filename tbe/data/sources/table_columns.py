"""Converts columns of Arrow tables, some rows at a time, to the columns of records."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tbe.data.sources.text_columns import Names, TextColumn
from tbe.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = -1  # the number of no name


class Place(NamedTuple):
    """What errors name: a table, and the rows before those at hand."""

    table: str
    num_before: int

    def of(self, row: int) -> str:
        """Returns the place of one of the rows at hand."""
        return f"{self.table} {self.num_before + row + 1}"


def pyarrow_package() -> Any:
    """Imports pyarrow; raises UserError, saying how to install it, if it is missing."""
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            "lists as CSV or Parquet: expected the package pyarrow, got none. "
            "Install it with: pip install 'tbe-video[tables]'"
        ) from error
    return pyarrow


def write_paths(column: pa.Array, texts: io.BytesIO, place: Place) -> np.ndarray:
    """Appends the paths to `texts`, and returns their lengths, int32 (n,); raises UserError for an empty one."""
    if not len(column):
        return np.zeros(0, np.int32)
    column = _as_bytes(column)
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    empty = np.flatnonzero(lengths == 0)  # as of those that are null
    if len(empty):
        raise UserError(f"{place.of(int(empty[0]))}: expected a path, got none")
    texts.write(memoryview(column.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
    return lengths


def counts(column: pa.Array | None, num_rows: int, name: str, place: Place, is_required: bool) -> np.ndarray:
    """Returns whole numbers, int64 (n,), 0 where there are none.

    Raises UserError for a negative one, and where one `is_required` and missing.
    """
    if column is None:
        return np.zeros(num_rows, np.int64)
    pa = pyarrow_package()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count and is_required:
        first = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise UserError(f"{place.of(first)}: expected a {name}, got none")
    found = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    negative = np.flatnonzero(found < 0)
    if len(negative):
        first = int(negative[0])
        raise UserError(f"{place.of(first)}: expected a {name} from 0 on, got {found[first]}")
    return found


def encoded(column: pa.Array) -> pa.DictionaryArray:
    """Returns names, or whole numbers as names, by number: the batch that they are from need not stay."""
    pa = pyarrow_package()
    column = column.cast(pa.string()) if pa.types.is_integer(column.type) else column
    return _as_bytes(column).dictionary_encode()


def joined_names(parts: Sequence[pa.DictionaryArray]) -> Names | None:
    """Joins the batches of a column of names, numbered in the order of their bytes; None without the column.

    What is null or empty is `UNKNOWN`.
    """
    if not parts:
        return None
    pa = pyarrow_package()
    import pyarrow.compute as pc

    joined = pa.chunked_array(parts).unify_dictionaries()
    known = joined.chunk(0).dictionary
    order = pc.array_sort_indices(known).to_numpy()
    ranks = np.full(len(order) + 1, UNKNOWN, np.int32)  # the last is that of null, -1
    ranks[order] = np.arange(len(order))
    numbers = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in joined.chunks]
    names = Names(ranks[np.concatenate(numbers)], TextColumn.of(known.take(pa.array(order)).to_pylist()))
    if len(names.known) and not names.known[0]:  # the empty name comes first
        names = Names(np.where(names.numbers > 0, names.numbers, 0) - 1, names.known[1:])
    return names


def _as_bytes(column: pa.Array) -> pa.Array:
    pa = pyarrow_package()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.binary())
