"""Process faults: one of two processes killed or stopped, and preempted SLURM jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.faults.report import Outcome
from benchmarks.faults.runs import AS_IF, steps_lost
from benchmarks.faults.small_runs import BY_HAND, SmallRuns

LIMIT = 30  # seconds, process_timeout of these runs; also how long the first process waits for the second to start
PAIR = ("trainer=ddp_cpu", "batch_size=4", "datamodule.num_workers=0", f"process_timeout={LIMIT}")
JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "pretrain", "SLURM_PROCID": "0"}
PATIENCE = 60  # seconds for the rest of a run to end


class Rank(NamedTuple):
    """A fault of one of two processes, and the line with which the run must end."""

    number: int
    signal: signal.Signals
    story: str
    line: str


RANKS = (
    Rank(1, signal.SIGKILL, "the second of two processes is killed (SIGKILL)", "process 1 was ended by SIGKILL"),
    Rank(0, signal.SIGKILL, "the first of two processes is killed (SIGKILL)", "connection to another process broke"),
    Rank(1, signal.SIGSTOP, "the second of two processes is stopped (SIGSTOP)", "another process did not answer"),
    Rank(0, signal.SIGSTOP, "the first of two processes is stopped (SIGSTOP)", "another process did not answer"),
)


def lost(trials: int, runs: SmallRuns, rank: Rank) -> Outcome:
    """Kills or stops one of two processes at a random moment, then resumes the run with both."""

    def trial(index: int) -> tuple[int, bool, float, bool]:
        took = [0.0]

        def fault(process: subprocess.Popen, chance: Random) -> None:
            other = started_by(process.pid)
            victims = [process.pid, *other]
            if other and process.poll() is None:
                began = time.monotonic()
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(victims[rank.number], rank.signal)
                wait_until_gone(process, other[0])
                took[0] = time.monotonic() - began

        name = f"{rank.signal.name}_{rank.number}_{index}"
        stopped = runs.broken_off(name, fault, environment=lambda run: BY_HAND)
        is_clear = rank.line in runs.log(stopped.folder)
        resume = [f"resume={stopped.folder}"] if stopped.saved else []
        same = runs.ends_well(stopped.folder, *resume) and runs.is_as_whole(stopped.folder)
        return stopped.done - stopped.saved, is_clear, took[0], same

    steps, clear, seconds, same = zip(*[trial(index) for index in range(trials)], strict=True)
    left = sum(took > PATIENCE for took in seconds)
    limit = f" (`process_timeout={LIMIT}`)" if rank.signal is signal.SIGSTOP else ""
    happened = (
        f'{sum(clear)} ended with "{rank.line}", no process was left after {max(seconds):.0f} s at most{limit}; '
        f"resumed, {sum(same)} ended {AS_IF}"
    )
    worst = f"**{left} processes stayed**" if left else f"**{trials - sum(same)} runs**"
    return Outcome(rank.story, trials, happened, steps_lost(steps) if not left and all(same) else worst)


def preempted(trials: int, runs: SmallRuns) -> Outcome:
    """Sends SIGTERM like a scheduler that requeues the job on `scontrol requeue`."""
    told = runs.folder / "bin" / "told"
    told.parent.mkdir()
    told.touch()
    scontrol = told.with_name("scontrol")
    scontrol.write_text(f'#!/bin/sh\n[ "$1" = show ] || echo "$@" >> {told}\n')
    scontrol.chmod(0o755)
    job = {**JOB, "PATH": os.pathsep.join([str(told.parent), os.environ["PATH"]])}

    def trial(index: int) -> tuple[int, bool, bool]:
        def of_job(run: Path) -> dict[str, str]:
            return {**job, "SLURM_JOB_ID": run.name}

        stopped = runs.broken_off(
            f"preempted_{index}", lambda process, chance: process.send_signal(signal.SIGTERM), environment=of_job
        )
        is_told = f"requeue {stopped.folder.name}\n" in told.read_text()
        again = {**of_job(stopped.folder), "SLURM_RESTART_COUNT": "1"}
        same = is_told and runs.ends_well(stopped.folder, environment=again) and runs.is_as_whole(stopped.folder)
        return stopped.done - stopped.saved, is_told, same

    steps, queued, same = zip(*runs.each(trials, trial), strict=True)
    happened = f"{sum(queued)} asked to be queued again; {sum(same)} of them went on in their folder and ended {AS_IF}"
    story = "a job of SLURM is preempted (SIGTERM) at a random moment"
    return Outcome(story, trials, happened, steps_lost(steps) if all(same) else f"**{trials - sum(same)} runs**")


def started_by(pid: int) -> list[int]:
    """Returns the process that Lightning started from this one, if any."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"\0LOCAL_RANK=1\0" in _environment(child)]
    except (FileNotFoundError, ProcessLookupError):
        return []


def wait_until_gone(first: subprocess.Popen, other: int) -> None:
    """Waits until both processes have ended; kills them after too long."""
    limit = time.monotonic() + PATIENCE
    while first.poll() is None or _is_alive(other):
        if time.monotonic() > limit:
            first.kill()
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGKILL)
            return
        time.sleep(0.05)


def _environment(pid: str) -> bytes:
    return b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0"


def _is_alive(pid: int) -> bool:
    """Returns whether a process is running, not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
