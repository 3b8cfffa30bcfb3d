"""Faults of training runs: kills, signals, full disks, corrupt checkpoints and exploding losses."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from collections.abc import Sequence
from random import Random

import torch

from benchmarks.faults.corrupt import truncated, with_another_byte
from benchmarks.faults.report import Outcome
from benchmarks.faults.small_runs import EPOCHS, LAST, STEPS, SmallRuns, Stopped, as_torchrun
from tbe.checkpoints.atomic_io import is_intact

AS_IF = "as without the fault, to the last bit (weights, queue, optimizer, metrics.csv)"


def killed(trials: int, runs: SmallRuns) -> Outcome:
    """Kills a run by SIGKILL and repeats its command."""
    return _restarted(trials, runs, signal.SIGKILL, "a run is killed (SIGKILL) at a random moment")


def terminated(trials: int, runs: SmallRuns) -> Outcome:
    """Stops a run by SIGTERM and repeats its command."""
    return _restarted(trials, runs, signal.SIGTERM, "a run is asked to stop (SIGTERM) at a random moment")


def _restarted(trials: int, runs: SmallRuns, number: signal.Signals, story: str) -> Outcome:
    def trial(index: int) -> tuple[Stopped, bool]:
        stopped = runs.broken_off(f"{number.name}_{index}", lambda process, chance: process.send_signal(number))
        again = as_torchrun(stopped.folder, restart=1)
        return stopped, runs.ends_well(stopped.folder, environment=again) and runs.is_as_whole(stopped.folder)

    found = runs.each(trials, trial)
    lost = [stopped.done - stopped.saved for stopped, _ in found]
    codes = ", ".join(str(code) for code in sorted({stopped.code for stopped, _ in found}))
    happened = f"exit code {codes}; started again, {sum(same for _, same in found)} of {trials} ended {AS_IF}"
    return Outcome(f"{story}, and its command repeated", trials, happened, steps_lost(lost))


def disk_full(trials: int, runs: SmallRuns) -> Outcome:
    """Limits file sizes below that of a checkpoint, then resumes without the limit."""

    def fill(process: subprocess.Popen, chance: Random) -> None:
        size = chance.randrange(50_000, (runs.whole / LAST).stat().st_size)
        try:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
        except ProcessLookupError:  # it has already ended
            return

    def trial(index: int) -> tuple[int, bool, bool, bool]:
        stopped = runs.broken_off(
            f"full_{index}", fill, "datamodule.num_workers=0"
        )  # the limit also applies to shared memory
        is_clear = runs.said(stopped.folder).startswith("error: could not write the checkpoint")
        is_kept = not (stopped.folder / LAST).exists() or is_intact(stopped.folder / LAST)
        resume = [f"resume={stopped.folder}"] if stopped.saved else []
        same = runs.ends_well(stopped.folder, *resume) and runs.is_as_whole(stopped.folder)
        return stopped.done - stopped.saved, is_clear, is_kept, same

    found = runs.each(trials, trial)
    lost, clear, kept, same = zip(*found, strict=True)
    happened = (
        f'{sum(clear)} ended with one line, "could not write the checkpoint ...: is the disk full?"; the last one was '
        f"whole in {sum(kept)}; resumed with room, {sum(same)} ended {AS_IF}"
    )
    return Outcome("the disk is full when a checkpoint is written", trials, happened, steps_lost(lost))


def resumed_from_spoiled(trials: int, runs: SmallRuns) -> Outcome:
    """Truncates or flips a bit of the last checkpoint of a run, and resumes it."""

    def trial(index: int) -> bool:
        run, chance = runs.folder / f"spoiled_{index}", Random(f"spoiled {index}")
        shutil.copytree(runs.whole, run)
        spoil = (truncated, with_another_byte)[index % 2]
        (run / LAST).write_bytes(spoil((run / LAST).read_bytes(), chance))
        return runs.ends_well(run, f"resume={run}") and runs.is_as_whole(run)

    same = sum(runs.each(trials, trial))
    lost = f"the {STEPS} steps since then, done again" if same == trials else f"**{trials - same} runs**"
    return Outcome(
        "a run resumes from a `last.ckpt` that is cut, or has another bit", trials, f"{same} ended {AS_IF}", lost
    )


def exploded(trials: int, runs: SmallRuns) -> Outcome:
    """Stops a run at a nan loss and resumes it without."""

    def trial(index: int) -> tuple[int, bool, bool]:
        chance, run = Random(f"nan {index}"), runs.folder / f"nan_{index}"
        at = chance.randrange(STEPS, EPOCHS * STEPS) + 1
        overrides = ["loss._target_=benchmarks.faults.exploding_loss.ExplodingLoss", f"+loss.at=[{at}]"]
        is_stopped = not runs.ends_well(run, *overrides) and runs.said(run).startswith("error: expected a finite loss")
        is_named = is_stopped and (run / "bad_batch.json").exists()
        saved = torch.load(run / LAST, weights_only=True)["global_step"]
        return at - saved, is_named, runs.ends_well(run, f"resume={run}") and runs.is_as_whole(run)

    lost, named, same = zip(*runs.each(trials, trial), strict=True)
    happened = (
        f"{sum(named)} ended with one line and `bad_batch.json`; resumed with a loss that is finite, {sum(same)} ended "
        f"{AS_IF}"
    )
    return Outcome(
        "the loss is nan in one step (`callbacks.finite_loss.policy=stop`)", trials, happened, steps_lost(lost)
    )


def skipped(trials: int, runs: SmallRuns) -> Outcome:
    """Skips steps with nan losses."""

    def trial(index: int) -> tuple[int, int, bool]:
        chance, run = Random(f"skip {index}"), runs.folder / f"skip_{index}"
        at = sorted(chance.sample(range(1, EPOCHS * STEPS + 1), 3))
        overrides = ["loss._target_=benchmarks.faults.exploding_loss.ExplodingLoss", f"+loss.at={at}".replace(" ", "")]
        if not runs.ends_well(run, *overrides, "callbacks.finite_loss.policy=skip"):
            return len(at), 0, False
        state = torch.load(run / LAST, weights_only=True)["state_dict"]
        is_finite = all(bool(value.isfinite().all()) for value in state.values())
        return len(at), runs.log(run).count("skipped a step"), is_finite

    asked, left_out, finite = zip(*runs.each(trials, trial), strict=True)
    happened = f"{sum(left_out)} of {sum(asked)} such steps left out; {sum(finite)} ended, with finite weights"
    lost = "those steps" if sum(finite) == trials else f"**{trials - sum(finite)} runs**"
    return Outcome(
        "the loss is nan in three steps of a run (`callbacks.finite_loss.policy=skip`)", trials, happened, lost
    )


def steps_lost(lost: Sequence[int]) -> str:
    if max(lost) <= 0:
        return "nothing"
    steps = f"{lost[0]}" if min(lost) == max(lost) else f"{min(lost)} to {max(lost)}"
    return f"{steps} steps since the last checkpoint ({STEPS} apart), done again"
