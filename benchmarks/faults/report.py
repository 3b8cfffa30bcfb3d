"""Writes the outcomes of faults as a Markdown table and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.harness import where


class Outcome(NamedTuple):
    """A fault, its number of trials, what happened, what was lost, and on which machine."""

    fault: str
    trials: int
    happened: str
    lost: str
    machine: str = ""


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Formats a table of outcomes, with the machines below it, referenced by letters."""
    letters = {place: chr(ord("A") + number) for number, place in enumerate(dict.fromkeys(_machines(outcomes)))}
    lines = ["| fault | trials | what happened | lost | on |", "|---|---:|---|---|---|"]
    lines += [
        f"| {row.fault} | {row.trials:,} | {row.happened} | {row.lost} | {letters.get(row.machine, '')} |"
        for row in outcomes
    ]
    return "\n".join([*lines, "", *(f"- {letter}: {place}" for place, letter in letters.items())]) + "\n"


def read(file: Path) -> list[Outcome]:
    """Reads the outcomes from the JSON file next to this page; empty if there is none."""
    file = file.with_suffix(".json")
    return [Outcome(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def write(outcomes: Sequence[Outcome], machine: Mapping[str, Any], file: Path) -> None:
    """Writes the table with new rows from this machine; other rows are kept."""
    new = {row.fault: row._replace(machine=where(machine)) for row in outcomes}
    rows = [new.pop(row.fault, row) for row in read(file)]
    rows += new.values()
    head = "# Faults\n\nWritten by `python -m benchmarks.faults.run`: each number is counted by it."
    head += (
        " Several processes talk over gloo here; NCCL, on GPUs, tells nobody of a killed one before its watchdog gives "
        "up (`process_timeout`), which nobody has tried."
    )
    text = f"{head}\n\n{markdown(rows)}"
    file.write_text(text, encoding="utf-8")
    content = [row._asdict() for row in rows]
    file.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _machines(outcomes: Sequence[Outcome]) -> list[str]:
    return [row.machine for row in outcomes if row.machine]
