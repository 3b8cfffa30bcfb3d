"""The commands of TBE under one name: `tbe <command> ...`, or `python -m tbe <command> ...`."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from tbe.launch import worker_processes

# Its name -> what it does, and where it is: imported when it is asked for.
COMMANDS = {
    "train": ("pretrains, finetunes or probes a network", "tbe.launch.cli", "train"),
    "eval": ("measures checkpoints", "tbe.launch.cli", "evaluate"),
    "preview": ("draws what a network will see, before it is trained", "tbe.launch.cli", "preview"),
    "prepare": ("makes the list files of data sets, and works on videos", "tbe.prepare.__main__", "main"),
    "report": ("writes one HTML page of runs and evaluations", "tbe.reporting.__main__", "main"),
    "compare": ("compares the runs of sweeps over their seeds", "tbe.reporting.comparison.__main__", "main"),
}
VARIABLE = "TBE_COMMAND"  # names the command to processes that Lightning starts: with its arguments, without its name


def main() -> None:
    """Runs the command that the first argument names."""
    if worker_processes.is_inherited() and VARIABLE in os.environ:
        name = os.environ[VARIABLE]
    else:
        name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: tbe <command> ...\n")
        print("\n".join(f"  tbe {name:9}{does}" for name, (does, *_) in COMMANDS.items()))
        print("\ntbe <command> --help says what it takes.")
        return
    if name not in COMMANDS:
        sys.exit(f"error: expected a command among {', '.join(COMMANDS)}, got {name!r}")
    os.environ[VARIABLE] = name
    _, module, function = COMMANDS[name]
    getattr(import_module(module), function)()


if __name__ == "__main__":
    main()
