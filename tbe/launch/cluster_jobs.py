"""Runs that torchrun or SLURM start, once for each process and again after a preemption: one config, one folder.

The first process composes the config; the others wait for its file and run that. A job that is started again goes on
where its checkpoints end. All processes see the same folder of runs.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tbe.errors import UserError
from tbe.launch.stages import Stage, from_plain, to_plain
from tbe.runs import replacing

FOLDER = ".jobs"
PATIENCE = 600  # seconds that processes wait for the first one
INTERACTIVE = ("bash", "interactive")  # names of SLURM jobs in which somebody types

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """What started this process: a name that no other job has, how often it was started before, and which it is."""

    name: str
    start: int
    rank: int


def current() -> Job | None:
    """The job of this process; None where a user started it, or Lightning as one of several."""
    has = os.environ
    if _is_of_torchrun():
        return Job(f"torchrun_{_run_id()}", int(has["TORCHELASTIC_RESTART_COUNT"]), int(has["RANK"]))
    if (number := _slurm_job()) is not None:
        name = f"slurm_{number}_{has.get('SLURM_STEP_ID', 'batch')}"
        return Job(name, int(has.get("SLURM_RESTART_COUNT", 0)), int(has.get("SLURM_PROCID", 0)))
    return None


def publish_stages(job: Job, stages: Sequence[Stage], arguments: Sequence[str]) -> None:
    """Names the stages of a job to its other processes, and to those of a later start."""
    file = _note(job, arguments)
    with replacing(file) as part:
        part.write_text(json.dumps({"start": job.start, "stages": to_plain(stages)}), encoding="utf-8")


def wait_for_stages(job: Job, arguments: Sequence[str], patience: float = PATIENCE) -> list[Stage]:
    """Returns the stages that the first process of this start names; raises a UserError when it takes too long."""
    file, limit = _note(job, arguments), time.monotonic() + patience
    while time.monotonic() < limit:
        start, stages = _read(file)
        if start == job.start:
            return from_plain(stages)
        time.sleep(0.1)
    raise UserError(
        f"process {job.rank} of {job.name}: expected the first process to name its config in {file} within "
        f"{patience:.0f} s, got nothing. Look for its error, and whether all see that folder (TBE_RUNS, runs=)"
    )


def stages_of_previous_start(job: Job, arguments: Sequence[str]) -> list[Stage]:
    """Returns the stages of an earlier start of this job, none where this is the first."""
    start, stages = _read(_note(job, arguments))
    return from_plain(stages) if start < job.start else []


def requeue() -> None:
    """Puts this process's SLURM job back into the queue; the next start goes on in the same folder.

    Not one that its user has cancelled, which gets the same signal as one that is preempted.
    """
    job = _slurm_job()
    if job is None:
        return
    with suppress(OSError, subprocess.SubprocessError):  # where SLURM does not say, it is asked to requeue all the same
        if "JobState=CANCELLED" in _scontrol("show", "job", job):
            print(f"not requeued: job {job} was cancelled")
            return
    try:
        _scontrol("requeue", job)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        log.warning("could not requeue job %s: %s", job, said.strip())
    else:
        print(f"requeued: job {job}")


def requeue_when_stopped() -> None:
    """From now on a signal of SLURM ends this process and puts its job back, where nothing else handles it.

    That is before training, while modules are imported and objects built, and between stages. torchrun, which stops
    its processes when one of them fails, starts them again itself.
    """
    if _slurm_job() is None or _is_of_torchrun():
        return
    process, is_first = os.getpid(), not any(int(os.environ.get(name, 0)) for name in ("SLURM_PROCID", "LOCAL_RANK"))

    def leave(number: int, frame: Any) -> None:
        if os.getpid() != process:  # forked from it, and no job: as if there was no handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for one in signals:  # what follows sends them too
            signal.signal(one, signal.SIG_IGN)
        if is_first:
            requeue()
        raise SystemExit(130)

    signals = (signal.SIGTERM, signal.SIGUSR1)
    for number in signals:
        signal.signal(number, leave)


def _scontrol(*arguments: str) -> str:
    """What SLURM's command says; a SubprocessError where it fails."""
    done = subprocess.run(["scontrol", *arguments], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def _slurm_job() -> str | None:
    """The number of the job of SLURM that this process is of; None where there is none, or somebody types in it."""
    return None if os.environ.get("SLURM_JOB_NAME") in INTERACTIVE else os.environ.get("SLURM_JOB_ID")


def _is_of_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _run_id() -> str:
    """The id that torchrun was given; where it has none, its process, which is the parent of all on its machine."""
    given = os.environ["TORCHELASTIC_RUN_ID"]
    if given != "none":
        return given
    if int(os.environ.get("GROUP_WORLD_SIZE", 1)) > 1:
        raise UserError("torchrun on several machines: expected --rdzv-id=<a name of this run>, got none")
    parent, began = os.getppid(), ""
    with suppress(OSError):  # numbers of processes come again
        began = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()}_{parent}_{began}"


def _note(job: Job, arguments: Sequence[str]) -> Path:
    given = [argument.removeprefix("runs=") for argument in arguments if argument.startswith("runs=")]
    runs = given[-1] if given else os.environ.get("TBE_RUNS", "runs")
    return Path(runs, FOLDER, f"{job.name}.json").absolute()


def _read(file: Path) -> tuple[int, list[dict[str, Any]]]:
    """Returns the start and the stages in a note; a start after all others where there is no note."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return sys.maxsize, []
    return content["start"], content["stages"]
