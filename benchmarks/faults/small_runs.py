"""Training runs of seconds, each a process of its own that can be ended at any moment."""

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
EPOCHS, STEPS = 10, 4  # steps an epoch
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
PATIENCE = 300  # seconds that a run may take
ATTEMPTS = 20  # runs, at random moments of which a fault comes; most end by it
BY_HAND: Mapping[str, str] = {}  # what the environment of a run that no scheduler starts tells of one
Fault = Callable[[subprocess.Popen, Random], Any]


class Stopped(NamedTuple):
    """A run that a fault ended: its folder, exit code, and the steps done and those in its last checkpoint."""

    folder: Path
    code: int
    done: int
    saved: int


def as_torchrun(run: Path, restart: int = 0) -> dict[str, str]:
    """The environment in which torchrun starts the only process of a run for the n-th time."""
    job = {"TORCHELASTIC_RUN_ID": run.name, "TORCHELASTIC_RESTART_COUNT": str(restart), "RANK": "0", "LOCAL_RANK": "0"}
    return job | {"WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400"}


class SmallRuns:
    """Runs in a folder, as many at once as there are cores, beside one without a fault, `whole`."""

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
        """Starts a run so, and waits for its end."""
        return _code(self.start(run, *overrides, environment=environment)) == 0

    def log(self, run: Path) -> str:
        """What a run printed."""
        return _log(run).read_text(encoding="utf-8", errors="replace").strip()

    def said(self, run: Path) -> str:
        """The last line of it."""
        return self.log(run).rpartition("\n")[2]

    def is_as_whole(self, run: Path) -> bool:
        """Whether a run ended as the one without a fault, to the last bit."""
        ours, theirs = (torch.load(folder / LAST, weights_only=True) for folder in (run, self.whole))
        tables = [(folder / "metrics.csv").read_bytes() for folder in (run, self.whole)]
        return tables[0] == tables[1] and all(are_equal(ours[part], theirs[part]) for part in EXACT)

    def broken_off(
        self, name: str, fault: Fault, *overrides: str, environment: Callable[[Path], Mapping[str, str]] = as_torchrun
    ) -> Stopped:
        """A run that the fault ends at a random moment of its training; those that were over before do not count."""
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
        """The trials, several at once."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(trial, range(trials)))

    def _training(self, run: Path, environment: Mapping[str, str], *overrides: str) -> subprocess.Popen:
        """A run that has just made its first step."""
        process = self.start(run, *overrides, environment=environment)
        while process.poll() is None and not (run / "metrics.csv").exists():
            time.sleep(0.01)
        return process


def _code(process: subprocess.Popen) -> int:
    """The exit code of a process, which is ended where it takes too long."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _steps(run: Path) -> int:
    """How many steps a run has logged, in lines that are whole."""
    if not (run / "metrics.csv").exists():
        return 0
    lines = (run / "metrics.csv").read_text().rpartition("\n")[0]
    return max((int(row["step"]) + 1 for row in csv.DictReader(io.StringIO(lines)) if row.get("train/loss")), default=0)
