"""Short training runs in processes of their own, to be killed at any moment."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch

from benchmarks.faults.checkpoints import are_equal
from tbe.checkpoints.atomic_io import is_intact

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, STEPS = 10, 4  # steps per epoch
SIZE = ["experiment=demo", "data.num_train=32", "data.num_val=16", "data.num_test=16", "data.num_actions=4"]
SIZE += [
    "data.num_scenes=4",
    "data.size=32",
    "data.num_frames=16",
    "batch_size=8",
    "contrastive.queue_size=16",
    "datamodule.num_workers=1",
]
SIZE += ["backbone.widths=[4,8,8,8]", "trainer.log_every_n_steps=1", f"epochs={EPOCHS}"]
LAST = Path("checkpoints", "last.ckpt")
EXACT = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
PATIENCE = 300  # maximum seconds of a run
ATTEMPTS = 20  # runs with a fault at a random moment; most end by it
BY_HAND: Mapping[str, str] = {}  # environment variables of a run not started by a scheduler
Fault = Callable[[subprocess.Popen, Random], Any]


class Stopped(NamedTuple):
    """A run ended by a fault: folder, exit code, steps done and steps in its last checkpoint."""

    folder: Path
    code: int
    done: int
    saved: int


def as_torchrun(run: Path, restart: int = 0) -> dict[str, str]:
    """Returns the environment that torchrun gives the only process of a run at its n-th start."""
    job = {"TORCHELASTIC_RUN_ID": run.name, "TORCHELASTIC_RESTART_COUNT": str(restart), "RANK": "0", "LOCAL_RANK": "0"}
    return job | {"WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}


class SmallRuns:
    """Starts runs in a folder, one per core at a time; `whole` is a run without a fault for comparison."""

    def __init__(self, folder: Path, *settings: str):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.settings = settings or ("trainer=cpu",)
        self.whole = folder / "whole"
        process = self._training(self.whole, BY_HAND)
        began = time.time()
        if _code(process):
            raise ValueError(f"expected a run without a fault to end well, got {self.said(self.whole)!r}")
        self.seconds = (self.whole / LAST).stat().st_mtime - began

    def start(self, run: Path, *overrides: str, environment: Mapping[str, str] = BY_HAND) -> subprocess.Popen:
        """Starts the command in a run's folder."""
        known = {name: value for name, value in os.environ.items() if name not in as_torchrun(run)}
        known = {name: value for name, value in known.items() if "SLURM" not in name}
        own = {"TBE_DATA": str(self.folder / "data"), "TBE_RUNS": str(self.folder), "OMP_NUM_THREADS": "1"}
        with _log(run).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "train.py", *SIZE, *self.settings, f"hydra.run.dir={run}", *overrides],
                cwd=ROOT,
                env={**known, **own, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ends_well(self, run: Path, *overrides: str, environment: Mapping[str, str] = BY_HAND) -> bool:
        """Starts a run, waits for its end and returns whether it succeeded."""
        return _code(self.start(run, *overrides, environment=environment)) == 0

    def log(self, run: Path) -> str:
        """Returns the output of a run."""
        return _log(run).read_text(encoding="utf-8", errors="replace").strip()

    def said(self, run: Path) -> str:
        """Returns the last line of the output."""
        return self.log(run).rpartition("\n")[2]

    def is_as_whole(self, run: Path) -> bool:
        """Returns whether a run ended bitwise equal to the one without a fault."""
        ours, theirs = (torch.load(folder / LAST, weights_only=True) for folder in (run, self.whole))
        tables = [(folder / "metrics.csv").read_bytes() for folder in (run, self.whole)]
        return tables[0] == tables[1] and all(are_equal(ours[part], theirs[part]) for part in EXACT)

    def broken_off(
        self, name: str, fault: Fault, *overrides: str, environment: Callable[[Path], Mapping[str, str]] = as_torchrun
    ) -> Stopped:
        """Returns a run that the fault ended at a random moment of training, repeating those that finished before."""
        chance = Random(name)
        for attempt in range(ATTEMPTS):
            run = self.folder / f"{name}_{attempt}"
            process = self._training(run, environment(run), *overrides)
            time.sleep(chance.uniform(0, self.seconds))
            fault(process, chance)
            if code := _code(process):
                saved = torch.load(run / LAST, weights_only=True)["global_step"] if is_intact(run / LAST) else 0
                return Stopped(run, code, _steps(run), saved)
        raise ValueError(f"{name}: expected a fault to end one of {ATTEMPTS} runs, got none: {self.said(run)}")

    def each(self, trials: int, trial: Callable[[int], Any]) -> list[Any]:
        """Runs the trials in parallel."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(trial, range(trials)))

    def _training(self, run: Path, environment: Mapping[str, str], *overrides: str) -> subprocess.Popen:
        """Returns a run right after its first step."""
        process = self.start(run, *overrides, environment=environment)
        while process.poll() is None and not (run / "metrics.csv").exists():
            time.sleep(0.01)
        return process


def _code(process: subprocess.Popen) -> int:
    """Returns the exit code of a process, which is killed if it takes too long."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _steps(run: Path) -> int:
    """Returns the number of steps that a run has logged in complete lines."""
    if not (run / "metrics.csv").exists():
        return 0
    lines = (run / "metrics.csv").read_text().rpartition("\n")[0]
    return max((int(row["step"]) + 1 for row in csv.DictReader(io.StringIO(lines)) if row.get("train/loss")), default=0)
