"""Checkpoint faults: a killed writer, truncated files, flipped bits."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import torch
from lightning_fabric.plugins import CheckpointIO

from benchmarks.faults.corrupt import truncated, with_another_byte
from benchmarks.faults.report import Outcome
from tbe.checkpoints.atomic_io import PART, PREVIOUS, AtomicCheckpoints, is_intact, latest_intact

NUMBERS = 2_000_000  # float32 in a checkpoint: writing it takes some hundredths of a second


def killed_while_writing(trials: int) -> Outcome:
    """Kills a process that writes one checkpoint after the other."""
    chance, readable, begun = Random(0), 0, 0
    for _ in range(trials):
        with tempfile.TemporaryDirectory() as folder:
            last = Path(folder, "last.ckpt")
            kill_writer(last, 0.02 + chance.uniform(0, 0.15))
            readable += is_intact(last) and is_uniform(last)
            begun += last.with_name(last.name + PART).exists()
    return Outcome(
        "killed (SIGKILL) while checkpoints are written one after the other",
        trials,
        f"`last.ckpt` whole in {readable}; in {begun} a file that was begun lay beside it",
        "the checkpoint that was being written" if readable == trials else f"**{trials - readable} checkpoints**",
    )


def kill_writer(last: Path, seconds: float, wrap: Callable[[CheckpointIO], CheckpointIO] = lambda io: io) -> None:
    """Starts a process that writes a checkpoint repeatedly, and kills it after the first one is complete.

    wrap: how it writes them, such as in the background.
    """
    save(last, 0)
    writer = os.fork()
    if writer == 0:
        try:
            io = wrap(AtomicCheckpoints())
            for number in range(1, 1000):
                save(last, number, io)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)


def save(path: Path, number: int, io: CheckpointIO | None = None) -> None:
    """Writes a checkpoint filled with one number."""
    content = {"number": number, "weights": torch.full((NUMBERS,), float(number))}
    (io or AtomicCheckpoints()).save_checkpoint(content, path)


def is_uniform(path: Path) -> bool:
    """Returns whether all numbers of a checkpoint by `save` are equal."""
    checkpoint = torch.load(path, weights_only=True)
    return bool((checkpoint["weights"] == checkpoint["number"]).all())


def torn(trials: int, run: Path) -> Outcome:
    """Truncates the last checkpoint of a run at a random byte."""
    found, _, other = _spoiled(trials, run, truncated)
    return Outcome(
        "`last.ckpt` is cut at a random byte",
        trials,
        f"found in {found}: the one before is taken, with a warning",
        "the epoch since then" if not other else f"**{other} times other weights**",
    )


def changed(trials: int, run: Path) -> Outcome:
    """Flips a random bit of the last checkpoint of a run."""
    found, harmless, other = _spoiled(trials, run, with_another_byte)
    return Outcome(
        "a bit of `last.ckpt` is another",
        trials,
        f"found in {found}: the one before is taken; in {harmless} it lay where no content is, and all that is read "
        "from the file is as written",
        "the epoch since then" if not other else f"**{other} times other content, unnoticed**",
    )


def _spoiled(trials: int, run: Path, spoil: Callable[[bytes, Random], bytes]) -> tuple[int, int, int]:
    """Counts how often the previous checkpoint was used, the damaged one with unchanged content, and anything else."""
    chance, found, harmless = Random(1), 0, 0
    with tempfile.TemporaryDirectory() as folder, _quiet():
        last = Path(folder, "last.ckpt")
        content = (run / "checkpoints" / "last.ckpt").read_bytes()
        before = last.with_name(last.name + PREVIOUS)
        shutil.copy(run / "checkpoints" / before.name, before)
        contents = [torch.load(run / "checkpoints" / name, weights_only=True) for name in (last.name, before.name)]
        for _ in range(trials):
            last.write_bytes(spoil(content, chance))
            taken = latest_intact(last)
            found += taken == before and are_equal(torch.load(taken, weights_only=True), contents[1])
            harmless += taken == last and are_equal(torch.load(taken, weights_only=True), contents[0])
    return found, harmless, trials - found - harmless


def are_equal(one: Any, other: Any) -> bool:
    """Returns whether the contents of two checkpoints are bitwise equal."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(are_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return one == other


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses warnings, of which there are many here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
