"""All measurements, one after the other, written to a file: `python benchmarks/run.py`.

Each of them is a script of its own: `python benchmarks/<name>.py --help`. What is named here is measured with its
defaults; on a GPU, where there is one, unless --device says otherwise. Parts that are not measured this time stay as
they were written.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from harness import Finding, machine, markdown, where

NAMES = (
    "readers",
    "loader",
    "augment",
    "erasing",
    "step",
    "feeding",
    "retrieval",
    "lists",
    "memory",
    "startup",
    "scaling",
)


class Part(NamedTuple):
    """What one script measured, on which machine."""

    title: str
    machine: dict[str, Any]
    findings: list[Finding]


def read(file: Path) -> dict[str, Part]:
    """What an earlier run wrote; nothing where there was none."""
    if not file.exists():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Part(part["title"], part["machine"], [Finding(**row) for row in part["findings"]])
        for name, part in content.items()
    }


def write(parts: dict[str, Part], file: Path) -> None:
    """The parts as Markdown, and beside it as JSON."""
    text = ["# Benchmarks\n\nWritten by `python benchmarks/run.py`. A ratio is the median over rounds.\n"]
    for name in (name for name in NAMES if name in parts):
        part = parts[name]
        text.append(f"## {name}\n\n{part.title}. On: {where(part.machine)}.\n\n{markdown(part.findings)}")
    file.write_text("\n".join(text), encoding="utf-8")
    content = {
        name: {**part._asdict(), "findings": [row._asdict() for row in part.findings]} for name, part in parts.items()
    }
    file.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=f"some of {', '.join(NAMES)}; default: all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"expected some of {', '.join(NAMES)}, got {', '.join(unknown)}")
    parts = read(options.out.with_suffix(".json"))
    for name in options.names:
        print(f"{name} ...", flush=True)
        module = importlib.import_module(name)
        title = module.__doc__.split("\n\n")[0].split(": `python")[0].replace("\n", " ")
        parts[name] = Part(title, machine(options.device), module.measure(options.device))
        print(markdown(parts[name].findings), flush=True)
        write(parts, options.out)  # what is measured is kept, whatever follows


if __name__ == "__main__":
    main()
