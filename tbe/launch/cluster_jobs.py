"""Shares the stages of a run among processes that torchrun or SLURM start, also when they start a job again.

The first process composes the config; the others wait for its file and run that. A job that is started again resumes
from its last checkpoints. All processes must see the same folder of runs.
"""

from __future__ import annotations

import hashlib
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
from tbe.launch.elastic import num_processes
from tbe.launch.stages import Stage, from_plain, to_plain
from tbe.runs import replacing

FOLDER = ".jobs"
PATIENCE = 600  # seconds that processes wait for the first one
INTERACTIVE = ("bash", "interactive")  # names of SLURM jobs in which somebody types

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """The job of this process: its unique name, its start, and the rank of this process.

    start: how often it was started before; of an elastic job what tells its starts apart, the address of the first
    process.
    """

    name: str
    start: int | str
    rank: int


class Note(NamedTuple):
    """What the first process of a start writes down: the start, the stages as plain types, the number of processes."""

    start: int | str
    stages: list[dict[str, Any]]
    processes: int | None


def current() -> Job | None:
    """Returns the job of this process; None if a user started it, or Lightning beside another process."""
    has = os.environ
    if _is_of_torchrun():
        return Job(f"torchrun_{_run_id()}", _start_of_torchrun(), int(has["RANK"]))
    if (number := _slurm_job()) is not None:
        name = f"slurm_{number}_{has.get('SLURM_STEP_ID', 'batch')}"
        return Job(name, int(has.get("SLURM_RESTART_COUNT", 0)), int(has.get("SLURM_PROCID", 0)))
    return None


def publish_stages(job: Job, stages: Sequence[Stage], arguments: Sequence[str]) -> None:
    """Writes the stages of a job for its other processes, and for a later start."""
    file = _note(job, arguments)
    with replacing(file) as part:
        note = Note(job.start, to_plain(stages), num_processes())
        part.write_text(json.dumps(note._asdict()), encoding="utf-8")


def wait_for_stages(job: Job, arguments: Sequence[str], patience: float = PATIENCE) -> list[Stage]:
    """Returns the stages that the first process of this start publishes; raises UserError after `patience` seconds."""
    file, limit = _note(job, arguments), time.monotonic() + patience
    while time.monotonic() < limit:
        note = _read(file)
        if note and note.start == job.start:
            return from_plain(note.stages)
        time.sleep(0.1)
    raise UserError(
        f"process {job.rank} of {job.name}: expected the first process to name its config in {file} within "
        f"{patience:.0f} s, got nothing. Look for its error, and whether all see that folder (TBE_RUNS, runs=)"
    )


def stages_of_previous_start(job: Job, arguments: Sequence[str]) -> list[Stage]:
    """Returns the stages of an earlier start of this job; none if this is the first."""
    note = _read(_note(job, arguments))
    return from_plain(note.stages) if note and _is_earlier(note.start, job.start) else []


def processes_of_previous_start(job: Job, arguments: Sequence[str]) -> int | None:
    """Returns how many processes an earlier start of this job had; None if that is not known."""
    note = _read(_note(job, arguments))
    return note.processes if note else None


def requeue() -> None:
    """Puts this process's SLURM job back into the queue; its next start resumes in the same folder.

    A job that its user canceled gets the same signal as a preempted one, and is not requeued.
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
    """Installs handlers by which a signal of SLURM ends this process and requeues its job.

    They act before training, while modules are imported and objects built, and between stages; training has its own.
    Not under torchrun, which starts its processes again itself.
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
    """Returns what scontrol prints; raises SubprocessError if it fails."""
    done = subprocess.run(["scontrol", *arguments], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def _slurm_job() -> str | None:
    """Returns the number of this process's SLURM job; None without one, or in an interactive one."""
    return None if os.environ.get("SLURM_JOB_NAME") in INTERACTIVE else os.environ.get("SLURM_JOB_ID")


def _is_of_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _run_id() -> str:
    """Returns the id given to torchrun, or else one of its process, the parent of all processes on the machine.

    Raises UserError without an id on several machines.
    """
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
    command = json.dumps([Path(sys.argv[0]).name, *sys.argv[1:]])  # a job may run several, one after another
    digest = hashlib.blake2b(command.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return Path(runs, FOLDER, f"{job.name}_{digest}.json").absolute()


def _read(file: Path) -> Note | None:
    """Returns the note of a job's last start; None where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Note(content["start"], content["stages"], content.get("processes"))


def _is_earlier(one: int | str, start: int | str) -> bool:
    """Checks whether one start was before another; starts of elastic jobs have no order, only the last one is known."""
    return one < start if isinstance(one, int) and isinstance(start, int) else one != start


def _start_of_torchrun() -> int | str:
    """Returns what tells the starts of a job apart, the same in all of its processes.

    torchrun counts failures, on each machine for itself: a machine that joins later counts others, and joining is no
    failure. If it is told to make a new store for each start, that one's address is known to all.
    """
    if os.environ.get("TORCH_DISABLE_SHARE_RDZV_TCP_STORE") == "1" and os.environ["TORCHELASTIC_RUN_ID"] != "none":
        return f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    return int(os.environ["TORCHELASTIC_RESTART_COUNT"])
