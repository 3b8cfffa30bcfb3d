"""What the commands share."""

from tbe.prepare.base.lists import Row, add_annotations, add_out, write_lists
from tbe.prepare.base.published import (
    csv_rows,
    existing_parts,
    expect_files,
    is_count,
    json_entries,
    name_and_number,
    numbered_lines,
    read_json,
    swapped,
)

__all__ = [
    "Row",
    "add_annotations",
    "add_out",
    "csv_rows",
    "existing_parts",
    "expect_files",
    "is_count",
    "json_entries",
    "name_and_number",
    "numbered_lines",
    "read_json",
    "swapped",
    "write_lists",
]
