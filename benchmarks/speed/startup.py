"""How long the commands take to say what they can do, against `import torch`: `python -m benchmarks.speed.startup`."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.common import harness
from benchmarks.common.harness import Finding, compare, in_turn

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "train.py --help": ["train.py", "--help"],
    "train.py --cfg job": ["train.py", "--cfg", "job"],
    "eval.py --help": ["eval.py", "--help"],
    "import torch": ["-c", "import torch"],
}


def measure(device: str, quick: bool = False) -> list[Finding]:
    """Compares the seconds beyond `import torch` of each command with 3 s."""
    commands = dict(list(COMMANDS.items())[:: len(COMMANDS) - 1]) if quick else COMMANDS
    times = in_turn({name: partial(start, command) for name, command in commands.items()}, rounds=2 if quick else 7)
    torch = times.pop("import torch")
    beyond = {
        f"{name} beyond import torch": [all_of_it - alone for all_of_it, alone in zip(taken, torch, strict=True)]
        for name, taken in times.items()
    }
    beyond["3 s"] = [3.0] * len(torch)
    return [compare(beyond, name, "3 s", "a process of its own", "<= 1") for name in beyond if name != "3 s"]


def start(command: list[str]) -> None:
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)


if __name__ == "__main__":
    harness.command(__doc__, measure, quick="one command, two rounds")
