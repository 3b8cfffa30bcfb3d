"""Shared code of the preparation commands."""

from tbe.data.sources.text_files import csv_rows, numbered_lines, read_json
from tbe.prepare.common.lists import Row, add_annotations, add_out, existing_videos, write_lists
from tbe.prepare.common.published import (
    existing_parts,
    expect_files,
    is_count,
    json_entries,
    name_and_number,
    swapped,
)

__all__ = [
    "Row",
    "add_annotations",
    "add_out",
    "csv_rows",
    "existing_parts",
    "existing_videos",
    "expect_files",
    "is_count",
    "json_entries",
    "name_and_number",
    "numbered_lines",
    "read_json",
    "swapped",
    "write_lists",
]
