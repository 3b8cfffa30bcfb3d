"""What faults did, as a table: Markdown, and beside it JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import where


class Outcome(NamedTuple):
    """A fault, how often it was tried, what happened, and what was lost by it."""

    fault: str
    trials: int
    happened: str
    lost: str


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A table of outcomes."""
    lines = ["| fault | trials | what happened | lost |", "|---|---:|---|---|"]
    lines += [f"| {row.fault} | {row.trials:,} | {row.happened} | {row.lost} |" for row in outcomes]
    return "\n".join(lines) + "\n"


def write(outcomes: Sequence[Outcome], machine: dict[str, Any], seconds: float, file: Path) -> None:
    """The table with where it was measured, and how long that took."""
    text = (
        "# Faults\n\nWritten by `python benchmarks/faults.py`: each number is counted by it. On: "
        f"{where(machine)}. In {seconds / 60:.0f} minutes.\n\n{markdown(outcomes)}"
    )
    file.write_text(text, encoding="utf-8")
    content = {"machine": machine, "seconds": round(seconds), "outcomes": [row._asdict() for row in outcomes]}
    file.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
