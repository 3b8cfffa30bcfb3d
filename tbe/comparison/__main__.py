"""Compares the runs of sweeps over their seeds: `runs.json`, `table.md` and pictures, with 95 % intervals (t)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tbe.comparison.drawing import draw_curves, draw_points, varied_number
from tbe.comparison.runs import arms, read_runs, read_sweeps, write_runs
from tbe.comparison.table import markdown

MOST_METRICS = 6  # of those that are drawn and tabulated unasked


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tbe.comparison", description=__doc__)
    parser.add_argument("sweeps", nargs="+", help="folders of sweeps; or one runs.json, to draw it again")
    parser.add_argument("--out", type=Path, help="where to write; default: beside the first of them")
    parser.add_argument("--metrics", nargs="+", help="keys of metrics.json; default: the last ones that all runs have")
    parser.add_argument("--against", metavar="ARM", help="in bold what lies above it, intervals apart")
    chosen = parser.parse_args(arguments)
    try:
        compare(chosen.sweeps, chosen.out, chosen.metrics, chosen.against)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def compare(sweeps: list[str], out: Path | None, metrics: list[str] | None, against: str | None) -> None:
    """Writes what was found of these sweeps, or of a runs.json, and prints the table."""
    first = Path(sweeps[0])
    runs = read_runs(first) if first.suffix == ".json" else read_sweeps(sweeps)
    out = out or (first.parent if first.suffix == ".json" else first)
    found = arms(runs)
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs) and name[:3] != "lr-"]
    chosen = metrics or shared[-MOST_METRICS:]
    table = markdown(found, chosen, against)
    write_runs(runs, out / "runs.json")
    (out / "table.md").write_text(table, encoding="utf-8")
    draw_points(found, chosen, out / "points.png")
    setting = varied_number(found)
    if setting is not None:
        draw_curves(found, setting, chosen, out / "curves.png")
    print(f"{table}\ncomparison: {out}")


if __name__ == "__main__":
    main()
