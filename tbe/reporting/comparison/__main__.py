"""Compares variants over the seeds of sweeps: writes `runs.json`, `table.md` and plots with 95 % t-intervals."""

from __future__ import annotations

import argparse
from pathlib import Path

from tbe.errors import ended_in_one_line
from tbe.reporting.comparison.compare import compare


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tbe.reporting.comparison", description=__doc__)
    parser.add_argument("sweeps", nargs="+", help="folders of sweeps, and files runs.json to draw again or to add to")
    parser.add_argument("--out", type=Path, help="output folder; default: that of the first sweep")
    parser.add_argument("--metrics", nargs="+", help="keys of metrics.json; default: the last ones common to all runs")
    parser.add_argument(
        "--against",
        metavar="VARIANT",
        help="print what lies above this variant in bold and below it in italics, if intervals don't overlap; with "
        "some settings, such as be=none: the one that has them and is like each variant in all others",
    )
    parser.add_argument("--variants", "--arms", nargs="+", help="show these only")
    chosen = parser.parse_args(arguments)
    with ended_in_one_line():
        compare(chosen.sweeps, chosen.out, chosen.metrics, chosen.against, chosen.variants)


if __name__ == "__main__":
    main()
