"""All measurements, one after the other, written to a file: `python -m benchmarks.speed.run`.

Each of them is a script of its own: `python -m benchmarks.speed.<name> --help`. What is named here is measured with its
defaults; on a GPU, where there is one, unless --device says otherwise. Parts that are not measured this time stay as
they were written, and what was measured on a GPU stands beside what was measured on a CPU. `gpu` writes here too.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.common import harness
from benchmarks.common.harness import Finding

FILE = Path(__file__).resolve().parents[1] / "RESULTS.md"
NAMES = (
    "readers",
    "loader",
    "augment",
    "erasing",
    "kernel",
    "step",
    "compile",
    "hosts",
    "input_pipeline",
    "retrieval",
    "audit",
    "lists",
    "shards",
    "long_lists",
    "long_joins",
    "memory",
    "startup",
    "scaling",
)
HEAD = """# Benchmarks

Written by `python -m benchmarks.speed.run`, on GPUs by `python -m benchmarks.speed.gpu`. A ratio is the median over
rounds. What was tried and did not pay: [DID_NOT_PAY.md](DID_NOT_PAY.md).
"""


class Part(NamedTuple):
    """What one script measured, on which machine, and the text below its table."""

    title: str
    machine: dict[str, Any]
    findings: list[Finding]
    text: str = ""


def key(name: str, device: str) -> str:
    """Returns the key of a part, distinct for CPU and GPU."""
    return name if device == "cpu" else f"{name} on a GPU"


def title_of(module: Any) -> str:
    """Returns the first line of a benchmark's docstring without its command."""
    return module.__doc__.split("\n\n")[0].split(": `python")[0].replace("\n", " ")


def read(file: Path) -> dict[str, Part]:
    """Reads the parts of an earlier run; empty if there is none."""
    if not file.exists():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Part(part["title"], part["machine"], [Finding(**row) for row in part["findings"]], part.get("text", ""))
        for name, part in content.items()
    }


def write(parts: dict[str, Part], file: Path) -> None:
    """Writes the parts as Markdown and JSON."""
    text = [HEAD]
    for name in sorted(parts, key=_place):
        part = parts[name]
        found = harness.page([*part.findings, *([part.text] if part.text else [])])
        text.append(f"## {name}\n\n{part.title}. On: {harness.where(part.machine)}.\n\n{found}")
    file.write_text("\n".join(text), encoding="utf-8")
    content = {
        name: {**part._asdict(), "findings": [row._asdict() for row in part.findings]} for name, part in parts.items()
    }
    file.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _place(name: str) -> tuple[int, str]:
    """Sorts parts by the order of benchmarks above (others first), then by device."""
    first = name.split(":")[0].split(" ")[0]
    return (NAMES.index(first) if first in NAMES else -1), name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=f"some of {', '.join(NAMES)}; default: all")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"expected some of {', '.join(NAMES)}, got {', '.join(unknown)}")
    parts = read(options.out.with_suffix(".json"))
    for name in options.names:
        print(f"{name} ...", flush=True)
        module = importlib.import_module(f"benchmarks.speed.{name}")
        findings, text = harness.parted(module.measure(options.device))
        part = Part(title_of(module), harness.machine(options.device), findings, text)
        print(harness.page([*findings, text]), flush=True)
        parts[key(name, options.device)] = part
        write(parts, options.out)  # written at once, in case a later one fails


if __name__ == "__main__":
    main()
