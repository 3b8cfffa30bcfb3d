"""Measures alternatives in turn and reports their ratios."""

from __future__ import annotations

import argparse
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "decord", "av", "torchcodec", "triton", "numpy")


class Finding(NamedTuple):
    """One measured ratio.

    what: the two sides, as in 'PyAV / ours'. setting: the conditions. ratio: the median over rounds of the first side's
    figure over the second's; least, largest: its range. bar: the requirement, as in '>= 2.5'; None for none.
    """

    what: str
    setting: str
    ratio: float
    least: float
    largest: float
    bar: str | None = None

    @property
    def holds(self) -> bool | None:
        """Returns whether the ratio meets the bar; None without a bar."""
        if self.bar is None:
            return None
        relation, limit = self.bar.split()
        return self.ratio >= float(limit) if relation == ">=" else self.ratio <= float(limit)


Found = Iterable[Finding | str]  # findings, and texts to print below their table


def in_turn(
    ways: Mapping[str, Callable[[], Any]],
    rounds: int,
    warm_up: int = 1,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Returns the seconds of each way, (rounds,) each, measured alternately so that all see the same noise.

    Each round starts with another way, so that their order varies. No round starts after `seconds`, including warm-up,
    but at least one is measured. clock: time.process_time counts the work of this process, whatever else runs.
    """
    start = time.perf_counter()
    for way in list(ways.values()) * warm_up:
        _seconds(way, clock)
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        if number and time.perf_counter() - start > seconds:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_seconds(ways[name], clock))
    return times


def compare(times: Mapping[str, list[float]], first: str, second: str, setting: str, bar: str | None = None) -> Finding:
    """Returns the ratio of the times of `first` and `second`, taken round by round."""
    ratios = [one / other for one, other in zip(times[first], times[second], strict=True)]
    return Finding(f"{first} / {second}", setting, median(ratios), min(ratios), max(ratios), bar)


def command(story: str, measure: Callable[[str, bool], Found], quick: str, threads: int | None = None) -> None:
    """Runs a benchmark from the command line: prints the machine and the findings of `measure(device, quick)`.

    story: the docstring of its file. quick: help for --quick. threads: of torch; None for its default.
    """
    parser = argparse.ArgumentParser(description=story.split(":")[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    torch.set_num_threads(threads or torch.get_num_threads())
    print(machine(options.device))
    print(page(measure(options.device, options.quick)))


def machine(device: str = "cpu") -> dict[str, Any]:
    """Returns hardware and software versions of this machine."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        **(_gpu_software() if device == "cuda" else {}),
    }


def where(facts: Mapping[str, Any]) -> str:
    """Formats a machine as one line."""
    return ", ".join(f"{fact} {value}" for fact, value in facts.items() if value is not None)


def parted(found: Found) -> tuple[list[Finding], str]:
    """Splits what was found into findings and the text below them."""
    rows = list(found)
    return [row for row in rows if isinstance(row, Finding)], "\n".join(row for row in rows if isinstance(row, str))


def page(found: Found) -> str:
    """Formats everything found as Markdown."""
    findings, text = parted(found)
    return "\n".join(part for part in (markdown(findings) if findings else "", text) if part)


def markdown(findings: list[Finding]) -> str:
    """Formats findings as a Markdown table."""
    lines = ["| measured | setting | ratio | least to largest | bar | |", "|---|---|---:|---|---|---|"]
    for found in findings:
        verdict = {None: "", True: "holds", False: "**missed**"}[found.holds]
        spread = f"{found.least:.2f} to {found.largest:.2f}"
        lines.append(
            f"| {found.what} | {found.setting} | {found.ratio:.2f} | {spread} | {found.bar or ''} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def _seconds(way: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    way()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpu_software() -> dict[str, Any]:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        output = ""
    driver = next(iter(output.split()), None)
    return {"driver": driver, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
