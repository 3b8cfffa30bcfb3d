"""Prints small tables to a terminal or a log without cutting columns: wide tables continue below."""

from __future__ import annotations

from collections.abc import Iterable

from tbe.reporting.summary import SmallTable

WIDE = 160  # characters per line when not printing to a terminal


def print_tables(tables: Iterable[SmallTable], title: str = "", notes: Iterable[str] = ()) -> None:
    """Prints a title, each table in as many pieces as its width needs, and notes below."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:  # a log file has no width limit
        console = Console(width=WIDE)
    if title:
        console.print(Text(title, style="bold"))
    for table in tables:
        for columns in _pieces(table, console.width):
            console.print(_drawn(table, columns))
    for note in notes:
        console.print(Text(f"- {note}"), soft_wrap=True)


def _pieces(table: SmallTable, width: int) -> Iterable[list[int]]:
    """Yields groups of columns that fit next to the row names, at least one column each."""
    left = width - max((len(name) for name in table.rows), default=0) - 4
    piece: list[int] = []
    used = 0
    for column, head in enumerate(table.columns):
        needed = max(len(head), 8) + 3
        if piece and used + needed > left:
            yield piece
            piece, used = [], 0
        piece.append(column)
        used += needed
    if piece:
        yield piece


def _drawn(table: SmallTable, columns: list[int]):
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(table.title) if table.title else None, title_justify="left")
    drawn.add_column("", overflow="fold")
    for column in columns:
        drawn.add_column(Text(table.columns[column]), justify="right", overflow="fold")
    for number, name in enumerate(table.rows):
        cells = [
            Text(format_number(table.cells[number][column]), style="bold" if (number, column) in table.best else "")
            for column in columns
        ]
        drawn.add_row(Text(name), *cells)
    return drawn


def format_number(value: float | None) -> str:
    """Formats a number with four digits; None as an empty string."""
    return "" if value is None else f"{value:.4g}"
