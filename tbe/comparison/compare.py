"""The comparison as files: `runs.json`, `table.md` and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tbe.comparison.drawing import draw_curves, draw_points, varied_number
from tbe.comparison.runs import arms, read_runs, read_sweeps, write_runs
from tbe.comparison.table import markdown

MOST_METRICS = 6  # of those that are drawn and tabulated unasked


def compare(sweeps: Sequence[str], out: Path | None, metrics: list[str] | None, against: str | None) -> None:
    """Writes what was found of these sweeps, or of a runs.json, and prints the table.

    out: None for the folder of the first of them. metrics: None for the last ones that all runs have.
    """
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
