"""What a GPU has to show, in one go of under eight minutes: `python benchmarks/gpu.py`.

Runs those measurements whose findings depend on the GPU; figures are printed as soon as they are there, and written to
--out at the end. It needs torch, torchvision and Lightning. A part that needs more than is installed is left out and
says why; so does one that no time is left for.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path

import torch
from harness import Finding, machine, markdown

PARTS = ("erasing", "step", "feeding", "augment")  # those that decide most come first


def measure(device: str, quick: bool = False, seconds: float = 480) -> list[Finding]:
    """All parts, one after the other; none is begun after three quarters of the time."""
    start, found = time.monotonic(), []
    for name in PARTS:
        spent = time.monotonic() - start
        if spent > 0.75 * seconds:
            print(f"{name}: left out, {spent:.0f} of {seconds:.0f} seconds are spent", flush=True)
            continue
        try:
            rows = importlib.import_module(name).measure(device, quick)
        except ImportError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        print(f"{name}, {time.monotonic() - start - spent:.0f} s\n\n{markdown(rows)}", flush=True)
        found += rows
        if device == "cuda":
            torch.cuda.empty_cache()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether it runs")
    parser.add_argument("--out", type=Path, help="a JSON file for the findings")
    options = parser.parse_args()
    torch.manual_seed(0)
    facts = machine(options.device)
    print(facts)
    found = measure(options.device, options.quick, options.seconds)
    if options.out:
        content = {"machine": facts, "findings": [row._asdict() for row in found]}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
