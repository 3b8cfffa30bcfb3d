"""Writes a self-contained HTML page of runs and evaluations: numbers, curves, settings, tables and pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import ended_in_one_line
from tbe.reporting.html.folders import find_runs
from tbe.reporting.html.page import page


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m tbe.reporting", description=__doc__)
    parser.add_argument(
        "folders", nargs="+", metavar="folder", help="a run, an evaluation, a sweep, or a folder above some"
    )
    parser.add_argument("--out", type=Path, help="the page to write; default: report.html in the first folder")
    parser.add_argument(
        "--most-mib",
        type=float,
        default=8,
        help="size limit of pictures and films; larger ones are only listed (default: 8)",
    )
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        write_report(chosen.folders, chosen.out or Path(chosen.folders[0], "report.html"), chosen.most_mib)


def write_report(folders: list[str | Path], file: Path, most_mib: float = 8) -> None:
    """Writes the page of all runs in or below these folders; raises UserError for a folder without runs."""
    text = page(find_runs(folders), most_mib)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    print(f"report: {file} ({len(text) / 2**20:.1f} MiB)")


if __name__ == "__main__":
    main()
