"""All measurements, one after the other, written to a file: `python benchmarks/run.py`.

Each of them is a script of its own: `python benchmarks/<name>.py --help`. What is named here is measured with its
defaults; on a GPU, where there is one, unless --device says otherwise.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import torch
from harness import Finding, machine, markdown

NAMES = ("readers", "loader", "augment", "erasing", "step", "feeding", "retrieval", "lists", "startup", "scaling")


def write(found: dict[str, list[Finding]], titles: dict[str, str], facts: dict, file: Path) -> None:
    """The findings as Markdown, and beside it as JSON."""
    where = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    parts = [f"# Benchmarks\n\nWritten by `python benchmarks/run.py` on: {where}.\n"]
    parts += [f"## {name}\n\n{titles[name]}\n\n{markdown(findings)}" for name, findings in found.items()]
    file.write_text("\n".join(parts), encoding="utf-8")
    content = {"machine": facts, **{name: [row._asdict() for row in rows] for name, rows in found.items()}}
    file.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=f"some of {', '.join(NAMES)}; default: all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    found, titles = {}, {}
    for name in options.names:
        print(f"{name} ...", flush=True)
        module = importlib.import_module(name)
        titles[name] = module.__doc__.split("\n\n")[0].split(": `python")[0]
        found[name] = module.measure(options.device)
        print(markdown(found[name]), flush=True)
        write(found, titles, machine(options.device), options.out)  # what is measured is kept, whatever follows


if __name__ == "__main__":
    main()
