"""All GPU benchmarks in under eight minutes: `python -m benchmarks.speed.gpu`.

Each part runs in a process of its own with a time limit. If it times out, runs out of memory or fails, its findings so
far are kept and the next part starts. RESULTS.md and RESULTS.json are written after each part. Needs torch,
torchvision and Lightning; PyAV for H.264 files.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.common import harness
from benchmarks.common.harness import Finding
from benchmarks.speed import run


class Task(NamedTuple):
    """A call of a module's `measure` with settings and a limit in seconds."""

    module: str
    seconds: float
    settings: Mapping[str, Any] = {}


# The most important come first, those that compile last. Times are limits, not expectations.
TASKS = {
    "erasing": Task("erasing", 60),
    "step: R3D-18": Task("step", 150, {"names": ["R3D-18"], "rounds": 5}),
    "step: I3D": Task("step", 150, {"names": ["I3D"], "rounds": 5}),
    "retrieval": Task("retrieval", 60),
    "input_pipeline": Task("input_pipeline", 150),
    "augment": Task("augment", 40),
    "step: R3D-18, compiled": Task("step", 120, {"names": ["R3D-18"], "rounds": 5, "compiled": True}),
    "step: I3D, compiled": Task("step", 120, {"names": ["I3D"], "rounds": 5, "compiled": True}),
}
SECONDS = 480
MIN = 20.0  # minimum seconds left to start a part


def measure(device: str, quick: bool, seconds: float, file: Path) -> int:
    """Runs all parts and writes each to the file when it ends; returns the number of findings."""
    start, num_found = time.monotonic(), 0
    parts = run.read(file.with_suffix(".json")) or run.read(run.FILE.with_suffix(".json"))
    facts = harness.machine(device)
    for name, task in TASKS.items():
        left = seconds - (time.monotonic() - start)
        if left < MIN:
            print(f"{name}: left out, {seconds - left:.0f} of {seconds:.0f} seconds are spent", flush=True)
            continue
        findings, text = harness.parted(found_by(name, device, quick, min(left - MIN / 4, task.seconds)))
        if findings:
            title = run.title_of(importlib.import_module(f"benchmarks.speed.{task.module}"))
            parts[run.key(name, device)] = run.Part(title, facts, findings, text)
            num_found += len(findings)
        spent = time.monotonic() - start
        total = Finding("all of it, seconds / 1", "one process after the other", spent, spent, spent, f"<= {SECONDS}")
        parts[run.key("gpu", device)] = run.Part(run.title_of(sys.modules[__name__]), facts, [total])
        run.write(parts, file)
        print(f"{name}: {spent:.0f} s in all\n\n{harness.page([*findings, text])}", flush=True)
    return num_found


def found_by(name: str, device: str, quick: bool, seconds: float) -> Iterator[Finding | str]:
    """Returns the findings of a part, run in a process that is killed after so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.jsonl")
        file.touch()
        process = subprocess.Popen(command_of(name, device, quick, file), cwd=harness.ROOT, start_new_session=True)
        try:
            code = process.wait(seconds)
            if code:
                print(f"{name}: ended with exit code {code}", flush=True)
        except subprocess.TimeoutExpired:
            print(f"{name}: ended after its {seconds:.0f} seconds", flush=True)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and its workers
                process.wait()
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield row if isinstance(row, str) else Finding(**row)


def command_of(name: str, device: str, quick: bool, file: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.speed.gpu", "--device", device, "--part", name, "--found", str(file)]
    return command + ["--quick"] * quick


def write_found(name: str, device: str, quick: bool, file: Path) -> None:
    """Measures a part in this process and writes a line of JSON for each finding at once."""
    task = TASKS[name]
    torch.manual_seed(0)
    with file.open("a", encoding="utf-8") as lines:
        for row in importlib.import_module(f"benchmarks.speed.{task.module}").measure(device, quick, **task.settings):
            line = json.dumps(row if isinstance(row, str) else row._asdict())
            print(line, file=lines, flush=True)
            print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether it runs")
    parser.add_argument("--out", type=Path, default=run.FILE, help="RESULTS.md; a RESULTS.json comes beside it")
    parser.add_argument("--part", choices=TASKS, help="only this, with --found: a file for lines of JSON")
    parser.add_argument("--found", type=Path)
    options = parser.parse_args()
    if options.part:
        write_found(options.part, options.device, options.quick, options.found)
    elif not measure(options.device, options.quick, options.seconds, options.out):
        sys.exit("expected a finding at least, got none: what each part said stands above")


if __name__ == "__main__":
    main()
