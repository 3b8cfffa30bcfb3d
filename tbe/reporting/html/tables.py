"""Reads tables from CSV and Markdown files and final metrics, and renders them as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tbe.reporting.console import format_number
from tbe.reporting.html.folders import Run, read_rows
from tbe.reporting.html.markup import Markup, tag
from tbe.reporting.summary import SmallTable

MAX_OPEN = 16  # tables with more rows are folded
MAX_ROWS = 1000  # more rows make a page slow
NUMBER = re.compile(r"[-+]?(\d[\d.e+-]*|nan|inf)( \([-+][\d.]+\))?")  # with an optional difference in brackets
LONG = re.compile(r"[-+]?\d+\.\d{5,}(e[-+]?\d+)?")


class Table(NamedTuple):
    """The texts of a table; the first column names the rows."""

    title: str
    head: list[str]
    rows: list[list[str]]


def read_tables(file: Path, title: str) -> list[Table]:
    """Reads the tables of a file: one from .csv, any number from .md, none from others."""
    if file.suffix == ".csv":
        rows = read_rows(file)
        return [Table(title, rows[0], rows[1:])] if rows else []
    if file.suffix == ".md":
        return _markdown_tables(file.read_text(encoding="utf-8", errors="replace"), title)
    return []


def columns_of(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Returns the final metrics of each run, or of its checkpoints or official splits, by name."""
    columns: dict[str, dict[str, float]] = {}
    for run in runs:
        columns |= _columns(run.metrics, run.label, is_alone=len(runs) == 1)
    return columns


def numbers_table(columns: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Returns a table of all numbers: one row per metric, one column for each of `columns`."""
    metrics = dict.fromkeys(metric for column in columns.values() for metric in column)
    rows = [[metric, *(format_number(column.get(metric)) for column in columns.values())] for metric in metrics]
    return Table(title, ["metric", *columns], rows)


def show(table: Table, is_open: bool | None = None, source: str = "") -> Markup:
    """Returns a scrollable table that is sorted by a click on a column's head.

    It is folded if it is long, unless `is_open` is given; `source` is the file with all rows of a truncated table.
    """
    count = f"{len(table.rows)} {'row' if len(table.rows) == 1 else 'rows'}"
    rows = table.rows[:MAX_ROWS]
    note = f"The first {MAX_ROWS} of {count}; all are in {source}" if len(rows) < len(table.rows) else None
    looks = ["number" if _is_number(rows, column) else None for column in range(max(map(len, [table.head, *rows])))]
    head = [
        tag("th", tag("button", name or "\u00a0", type="button"), scope="col", class_=look)
        for name, look in zip_longest(table.head, looks, fillvalue="")
    ]
    body = [tag("tr", *map(_cell, row, looks)) for row in rows]
    shown = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="sortable")
    return tag(
        "details",
        tag("summary", table.title, " ", tag("small", count)),
        tag("p", note, class_="note") if note else None,
        tag("div", shown, class_="scroll", tabindex=0, role="region", aria_label=table.title),
        open=len(table.rows) <= MAX_OPEN if is_open is None else is_open,
    )


def show_small(table: SmallTable) -> Markup:
    """Returns a small table of one task, with the best scores in bold."""
    head = [tag("th", name or "\u00a0", scope="col", class_="number") for name in table.columns]
    body = [
        tag("tr", tag("th", name, scope="row"), *(_score(table, row, column) for column in range(len(head))))
        for row, name in enumerate(table.rows)
    ]
    drawn = tag("table", tag("thead", tag("tr", tag("th", "\u00a0"), *head)), tag("tbody", *body))
    box = tag("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=table.title or "numbers")
    return tag("div", tag("h3", table.title) if table.title else None, box, class_="small-table")


def _score(table: SmallTable, row: int, column: int) -> Markup:
    text = format_number(table.cells[row][column])
    return tag("td", tag("strong", text) if (row, column) in table.best else text, class_="number")


def _is_number(rows: list[list[str]], column: int) -> bool:
    cells = [row[column] for row in rows if len(row) > column and row[column]]
    return bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)


def _cell(text: str, look: str | None) -> Markup:
    """Returns a cell; long numbers are shortened, with all digits in a tooltip."""
    is_long = LONG.fullmatch(text)
    return tag("td", f"{float(text):.4g}" if is_long else text, class_=look, title=text if is_long else None)


def _columns(metrics: Mapping[str, Any], name: str, is_alone: bool = False) -> dict[str, dict[str, float]]:
    """Returns the numbers of each checkpoint and split by name, prefixed by the run's name if there are several."""
    own = {key: value for key, value in metrics.items() if isinstance(value, (int, float))}
    columns = {name: own} if own else {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            columns |= _columns(value, key if is_alone else f"{name} / {key}")
    return columns


def _markdown_tables(text: str, title: str) -> list[Table]:
    """Parses Markdown tables: blocks of lines that start with '|', the second of which is a separator."""
    blocks: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.lstrip().startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
            blocks[-1].append([cell.strip().replace("\\|", "|") for cell in cells])
        elif blocks[-1]:
            blocks.append([])
    found = [block for block in blocks if len(block) > 1 and all(re.fullmatch(r":?-+:?", cell) for cell in block[1])]
    return [
        Table(title if number == 0 else f"{title} ({number + 1})", block[0], block[2:])
        for number, block in enumerate(found)
    ]
