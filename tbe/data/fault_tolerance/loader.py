"""Videos read by workers that may hang, crash or meet broken files: none of it is waited for, or lost track of."""

from __future__ import annotations

import faulthandler
import os
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from tbe.data.epoch_samplers import EpochSampler, ShardSampler
from tbe.data.fault_tolerance.handed_error import HandedError
from tbe.data.fault_tolerance.quarantine import Fault
from tbe.data.readers import DecodeError
from tbe.errors import UserError

MAX_REPLACED = 100  # draws in a row
MAX_DEATHS = 3  # of workers that were reading nothing
ENDED_BY_WATCHDOG = 1  # the exit code of `faulthandler`
ENDED_WITHOUT_MEMORY = 3  # that of a worker that could not hand a batch over
NOTHING, SUSPECT, FAILED = 0, 1, 2
MAX_WORKERS = 4096
REASON_BYTES = 2000
NOTES = ("faults", "replaced")


class FaultTolerantDataset(Dataset):
    """Videos that are given up after `seconds`, and replaced where they can't be read.

    A watchdog thread that does not need Python's lock ends a worker whose video takes longer; without workers there is
    no time limit. replaces: another video takes the place of one that can't be read, drawn by what the item was asked
    with, so that a resumed run draws the same; items then have the lists `faults` and `replaced`, pairs of paths (asked
    for, given), which `collate` joins. Otherwise a DecodeError names it. known: bool (n,), what is replaced without
    being tried. reader: what reads them, for faults that don't say it themselves. note: is told, in the process of the
    run, of the faults of a batch that could not be made.
    """

    def __init__(
        self,
        videos: Any,
        seconds: float,
        replaces: bool = False,
        known: np.ndarray | None = None,
        reader: str = "",
        note: Callable[[list[Fault]], None] | None = None,
    ):
        if not seconds > 0:
            raise UserError(f"read_timeout: expected seconds above 0, got {seconds}")
        self.videos = videos
        self.seconds = seconds
        self.replaces = replaces
        self.reader = reader
        self.note = note
        # Shared with all workers: what failed in one is not tried in another, and what each is reading.
        self.state = torch.zeros(len(videos), dtype=torch.uint8).share_memory_()
        self.reading = torch.full((MAX_WORKERS,), -1, dtype=torch.int64).share_memory_()
        self.first_reason = torch.zeros(REASON_BYTES, dtype=torch.uint8).share_memory_()
        if known is not None:
            self.state[torch.from_numpy(known)] = FAILED

    def __len__(self) -> int:
        return len(self.videos)

    def __getitems__(self, keys: list[Any]) -> list[dict[str, Any]] | HandedError:
        """All items of a batch, as PyTorch's loaders ask for them; in a worker what fails is handed over instead."""
        items: list[dict[str, Any]] = []
        try:
            for key in keys:
                items.append(self[key])
        except Exception as error:
            if isinstance(error, NothingReadable):
                error.faults = [fault for item in items for fault in item["faults"]] + error.faults
            return _raised_or_handed(error)
        return items

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        index, draw = key if isinstance(key, tuple) else (key, None)
        if not self.replaces:
            return self._read(index, key)
        faults: list[Fault] = []
        for place in self._candidates(index, draw):
            if self.state[place] == FAILED:
                continue
            try:
                item = self._read(place, place if draw is None else (place, draw))
            except DecodeError as error:
                self.state[place] = FAILED
                faults.append(Fault(self.path(place), str(error), error.readers or self.reader))
                self._remember(str(error))
            else:
                pairs = [] if place == index else [(self.path(index), self.path(place))]
                return {**item, "faults": faults, "replaced": pairs}
        told = bytes(self.first_reason.tolist()).rstrip(b"\0").decode(errors="replace")
        raise NothingReadable(self.path(index), told or "quarantine.csv has named them before", faults)

    def failed(self) -> list[str]:
        """The paths of the videos that were found unreadable, in whichever worker."""
        return [self.path(index) for index in torch.nonzero(self.state == FAILED).flatten().tolist()]

    def path(self, index: int) -> str:
        """Where a video is."""
        return self.videos.path(index)

    def collate(self, items: list[dict[str, Any]] | HandedError) -> dict[str, Any]:
        """Items as a batch, as the videos have it, with the notes of all of them; or what failed, as `failed`."""
        if isinstance(items, HandedError):
            return {"failed": items}
        notes = {name: [note for item in items for note in item.pop(name)] for name in (NOTES if self.replaces else ())}
        try:
            return {**self.videos.collate(items), **notes}
        except Exception as error:
            return {"failed": _raised_or_handed(error)}

    def _remember(self, reason: str) -> None:
        if not self.first_reason[0]:
            told = reason.encode(errors="backslashreplace")[:REASON_BYTES].ljust(REASON_BYTES, b"\0")
            self.first_reason.copy_(torch.frombuffer(bytearray(told), dtype=torch.uint8))

    def _candidates(self, index: int, draw: int | None) -> Iterator[int]:
        yield index
        rng = np.random.default_rng((index, draw or 0))
        for _ in range(MAX_REPLACED):
            yield int(rng.integers(len(self)))

    def _read(self, index: int, key: int | tuple[int, int]) -> dict[str, Any]:
        worker = get_worker_info()
        if worker is None:
            return self.videos[key]
        # Of this process, a worker, alone.
        Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]  # private
        self.reading[worker.id] = index
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=nowhere)
            try:
                return self.videos[key]
            finally:
                faulthandler.cancel_dump_traceback_later()
                self.reading[worker.id] = -1


class NothingReadable(DecodeError):
    """None of the videos that were drawn in the place of one can be read. faults: those that this found out."""

    def __init__(self, path: str, reason: str, faults: list[Fault]):
        super().__init__(f"expected a readable video among {MAX_REPLACED} draws, got none: {path}, ... ({reason})")
        self.path, self.reason, self.faults = path, reason, faults

    def __reduce__(self) -> Any:
        return type(self), (self.path, self.reason, self.faults)


def _raised_or_handed(error: Exception) -> HandedError:
    """The error for the process of the run; where this is that process it is raised."""
    worker = get_worker_info()
    if worker is None:
        raise error
    return HandedError(error, worker.id)


def _end_worker(error: Exception, batch: Any) -> None:
    """Ends a worker that can't hand over a batch, as where /dev/shm is full: Python would drop it, and all wait."""
    try:
        traceback.print_exception(error)
    finally:  # whatever becomes of the message
        os._exit(ENDED_WITHOUT_MEMORY)


class ReplayedSampler(Sampler):
    """A sampler whose last iteration can be taken up again after some of its keys."""

    def __init__(self, sampler: EpochSampler | ShardSampler):
        self.sampler = sampler
        self.keys: list[Any] = []
        self.resume_at: int | None = None

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        if self.resume_at is None:
            self.keys = list(self.sampler)
        start, self.resume_at = self.resume_at or 0, None
        yield from self.keys[start:]


class FaultTolerantLoader(DataLoader):
    """A loader of FaultTolerantDataset by a ReplayedSampler, that outlives its workers.

    When a worker has died, all are started anew and the epoch goes on with the batch that is missing. The video that
    it was reading is at fault when it was ended by the watchdog, or when it died there for the second time: that is
    replaced, or, where the videos do not replace, the DecodeError that names it.
    """

    dataset: FaultTolerantDataset

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return _RestartingIterator(self)

    def begun(self) -> Iterator[dict[str, Any]]:
        """A plain iteration, with new workers where there are none."""
        batches = super().__iter__()
        if getattr(batches, "_worker_pids_set", False):
            # torch would raise the death of a worker wherever the run is, not where the next batch is asked for.
            torch._C._remove_worker_pids(id(batches))
            batches._worker_pids_set = False  # type: ignore[attr-defined]  # of an iteration with workers
        return batches

    def begun_again(self, num_batches: int) -> Iterator[dict[str, Any]]:
        """The same iteration with new workers, without its first batches."""
        self._iterator = None
        batches = self.batch_sampler  # Lightning puts one of its own round that of a loader to predict
        batches.sampler.resume_at = num_batches * batches.batch_size
        return self.begun()


class _RestartingIterator(Iterator):
    def __init__(self, loader: FaultTolerantLoader):
        self.loader = loader
        self.videos = loader.dataset
        self.batches = loader.begun()
        self.num_given = 0
        self.num_deaths = 0
        self.faults: list[Fault] = []

    def __next__(self) -> dict[str, Any]:
        while True:
            try:
                batch = next(self.batches)
            except (StopIteration, DecodeError) as error:
                self._note(error)
                raise
            except Exception as error:  # what a death looks like depends on what was under way
                self._bury(error)
            else:
                if "failed" in batch:
                    failure = batch["failed"].again()
                    self._note(failure)
                    try:
                        raise failure
                    finally:  # in a circle with this frame it would keep the workers, which gc then can't end in order
                        del failure, batch
                self.num_given += 1
                if self.faults:
                    batch["faults"] += self.faults
                    self.faults = []
                return batch

    def _note(self, error: Exception) -> None:
        """Has the faults written down that would have come with the batch."""
        if isinstance(error, NothingReadable) and self.videos.note:
            faults = {fault.path: fault for fault in self.faults + error.faults}
            for path in self.videos.failed():  # of batches that are not reached any more
                faults.setdefault(
                    path, Fault(path, f"could not read {path}: see the first of them", self.videos.reader)
                )
            self.videos.note(list(faults.values()))

    def _bury(self, error: Exception) -> None:
        """Finds who died of what, and starts new workers; raises what is nobody's death."""
        dead = {
            number: worker.exitcode
            for number, worker in enumerate(getattr(self.batches, "_workers", []))
            if not worker.is_alive()
        }
        if not dead:
            raise error
        self.batches._shutdown_workers()  # type: ignore[attr-defined]  # of an iteration with workers
        blamed = {number: int(self.videos.reading[number]) for number in dead if self.videos.reading[number] >= 0}
        for number, index in blamed.items():
            self._blame(index, dead[number], error)
        self.num_deaths += not blamed
        if self.num_deaths > MAX_DEATHS:
            raise RuntimeError(
                f"expected the workers of the loader to live, but some died {self.num_deaths} times while they read "
                f"nothing (exit codes {sorted(set(dead.values()))}; -9 is often a machine out of memory: fewer "
                f"num_workers; {ENDED_WITHOUT_MEMORY} no room for a batch in /dev/shm: the error above)"
            ) from error
        self.videos.reading.fill_(-1)
        self.batches = self.loader.begun_again(self.num_given)

    def _blame(self, index: int, exit_code: int | None, error: Exception) -> None:
        path = self.videos.path(index)
        was_slow = exit_code == ENDED_BY_WATCHDOG
        if not was_slow and self.videos.state[index] == NOTHING:
            self.videos.state[index] = SUSPECT  # perhaps the machine was out of memory
            return
        did = f"took longer than {self.videos.seconds:g} s" if was_slow else f"ended its worker, exit code {exit_code}"
        reason = f"could not read {path}: it {did}"
        if not self.videos.replaces:
            raise DecodeError(reason) from error
        self.videos.state[index] = FAILED
        self.faults.append(Fault(path, reason, "watchdog"))
