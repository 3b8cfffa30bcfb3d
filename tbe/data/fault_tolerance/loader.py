"""A DataLoader that survives hung, crashed and killed workers and broken files, and records every replacement."""

from __future__ import annotations

import faulthandler
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from tbe.data.epoch_samplers import EpochSampler, ShardSampler
from tbe.data.fault_tolerance.announced_batches import AnnouncedBatches
from tbe.data.fault_tolerance.quarantine import Fault
from tbe.data.fault_tolerance.worker_error import WorkerError
from tbe.data.readers import DecodeError
from tbe.errors import UserError

MAX_DRAWS = 100  # in a row, to replace one video
MAX_IDLE_DEATHS = 3  # of workers that were not reading a video
WATCHDOG_EXIT_CODE = 1  # that of `faulthandler`
SHARED_MEMORY_EXIT_CODE = 3  # of a worker that could not pass its batch on
UNKNOWN, SUSPECT, FAILED = 0, 1, 2
MAX_WORKERS = 4096
REASON_BYTES = 2000
NOTES = ("faults", "replaced")


class FaultTolerantDataset(Dataset):
    """Wraps a dataset of videos: gives up reading one after `seconds`, and replaces unreadable ones.

    A watchdog thread that does not need the GIL ends a worker whose video takes longer; without workers there is no
    time limit. replaces: whether an unreadable video is replaced by another, drawn from the item's own key, so that a
    resumed run draws the same; items then have the lists `faults` and `replaced`, pairs of paths (requested, returned),
    which `collate` joins. Otherwise raises a DecodeError that names the video. known: bool (n,), videos to replace
    without trying them. reader: name of the reader, for faults that don't name it. note: called in the main process
    with the faults of a batch that could not be made.
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
        # Shared by all workers: what failed in one is not tried in another, and what each is reading.
        self.state = torch.zeros(len(videos), dtype=torch.uint8).share_memory_()
        self.reading = torch.full((MAX_WORKERS,), -1, dtype=torch.int64).share_memory_()
        self.first_reason = torch.zeros(REASON_BYTES, dtype=torch.uint8).share_memory_()
        if known is not None:
            self.state[torch.from_numpy(known)] = FAILED

    def __len__(self) -> int:
        return len(self.videos)

    def __getitems__(self, keys: list[Any]) -> list[dict[str, Any]] | WorkerError:
        """Returns all items of a batch, as PyTorch's loaders request them; in a worker an error is returned instead."""
        items: list[dict[str, Any]] = []
        try:
            self._prefetch([*keys, *getattr(keys, "following", ())])
            for key in keys:
                items.append(self[key])
        except Exception as error:
            if isinstance(error, NoReadableVideo):
                error.faults = [fault for item in items for fault in item["faults"]] + error.faults
            return _raise_or_pass_on(error)
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
        reason = bytes(self.first_reason.tolist()).rstrip(b"\0").decode(errors="replace")
        raise NoReadableVideo(self.path(index), reason or "all are listed in quarantine.csv already", faults)

    def failed(self) -> list[str]:
        """Returns the paths of the videos that any worker found unreadable."""
        return [self.path(index) for index in torch.nonzero(self.state == FAILED).flatten().tolist()]

    def path(self, index: int) -> str:
        """Returns the path of a video."""
        return self.videos.path(index)

    def collate(self, items: list[dict[str, Any]] | WorkerError) -> dict[str, Any]:
        """Collates items as the wrapped dataset does, and joins their notes; an error becomes {'failed': error}."""
        if isinstance(items, WorkerError):
            return {"failed": items}
        notes = {name: [note for item in items for note in item.pop(name)] for name in (NOTES if self.replaces else ())}
        try:
            return {**self.videos.collate(items), **notes}
        except Exception as error:
            return {"failed": _raise_or_pass_on(error)}

    def _remember(self, reason: str) -> None:
        if not self.first_reason[0]:
            encoded = reason.encode(errors="backslashreplace")[:REASON_BYTES].ljust(REASON_BYTES, b"\0")
            self.first_reason.copy_(torch.frombuffer(bytearray(encoded), dtype=torch.uint8))

    def _prefetch(self, keys: list[Any]) -> None:
        """Begins to read the videos of a batch and the next that lie elsewhere, of datasets that can."""
        if (prefetch := getattr(self.videos, "prefetch", None)) is not None:
            prefetch([key for key in keys if self.state[key[0] if isinstance(key, tuple) else key] != FAILED])

    def _candidates(self, index: int, draw: int | None) -> Iterator[int]:
        yield index
        rng = np.random.default_rng((index, draw or 0))
        for _ in range(MAX_DRAWS):
            yield int(rng.integers(len(self)))

    def _read(self, index: int, key: int | tuple[int, int]) -> dict[str, Any]:
        worker = get_worker_info()
        if worker is None:
            return self.videos[key]
        # Changes this worker process only.
        Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]  # private
        if (wait := getattr(self.videos, "wait", None)) is not None:
            wait(index)  # a bucket that is slow is not the fault of the video: it has limits of its own
        self.reading[worker.id] = index
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=nowhere)
            try:
                return self.videos[key]
            finally:
                faulthandler.cancel_dump_traceback_later()
                self.reading[worker.id] = -1


class NoReadableVideo(DecodeError):
    """Raised when no video drawn as a replacement can be read. faults: the unreadable videos found on the way."""

    def __init__(self, path: str, reason: str, faults: list[Fault]):
        super().__init__(f"expected a readable video among {MAX_DRAWS} draws, got none: {path}, ... ({reason})")
        self.path, self.reason, self.faults = path, reason, faults

    def __reduce__(self) -> Any:
        return type(self), (self.path, self.reason, self.faults)


def _raise_or_pass_on(error: Exception) -> WorkerError:
    """Raises the error in the main process; in a worker returns it, for the main process to raise."""
    worker = get_worker_info()
    if worker is None:
        raise error
    return WorkerError(error, worker.id)


def _end_worker(error: Exception, batch: Any) -> None:
    """Ends a worker that can't pass its batch on, as when /dev/shm is full: Python would drop it, and all hang."""
    try:
        traceback.print_exception(error)
    finally:  # even if printing fails
        os._exit(SHARED_MEMORY_EXIT_CODE)


class ReplayedSampler(Sampler):
    """Wraps a sampler so that its last iteration can be resumed after some of its keys."""

    def __init__(self, sampler: EpochSampler | ShardSampler):
        self.sampler = sampler
        self.keys: Sequence[Any] = []
        self.resume_at: int | None = None

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        if self.resume_at is None:
            self.keys = self.sampler.keys() if hasattr(self.sampler, "keys") else list(self.sampler)
        start, self.resume_at = self.resume_at or 0, None
        yield from self.keys[start:]


class FaultTolerantLoader(DataLoader):
    """A DataLoader of a FaultTolerantDataset and a ReplayedSampler that survives the death of its workers.

    When a worker dies, all are restarted and the epoch continues with the missing batch. The video that it was reading
    is blamed if the watchdog ended the worker, or if a worker died on it for the second time: it is replaced, or, if
    the dataset does not replace, a DecodeError names it.
    """

    dataset: FaultTolerantDataset

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return _RestartingIterator(self)

    @property
    def _index_sampler(self) -> Any:  # private: where torch's iterators take the batches from
        return AnnouncedBatches(super()._index_sampler, self.num_workers)

    def start(self) -> Iterator[dict[str, Any]]:
        """Starts a plain DataLoader iteration, with new workers if there are none."""
        batches = super().__iter__()
        if getattr(batches, "_worker_pids_set", False):
            # torch would raise a worker's death anywhere in the run, not where the next batch is requested.
            torch._C._remove_worker_pids(id(batches))
            batches._worker_pids_set = False  # type: ignore[attr-defined]  # of an iteration with workers
        return batches

    def restart(self, num_batches: int) -> Iterator[dict[str, Any]]:
        """Restarts the same iteration with new workers, after its first `num_batches` batches."""
        self._iterator = None
        batches = self.batch_sampler  # Lightning wraps that of a predict loader in one of its own
        batches.sampler.resume_at = num_batches * batches.batch_size
        return self.start()


class _RestartingIterator(Iterator):
    def __init__(self, loader: FaultTolerantLoader):
        self.loader = loader
        self.videos = loader.dataset
        self.batches = loader.start()
        self.num_returned = 0
        self.num_idle_deaths = 0
        self.faults: list[Fault] = []

    def __next__(self) -> dict[str, Any]:
        while True:
            try:
                batch = next(self.batches)
            except (StopIteration, DecodeError) as error:
                self._note(error)
                raise
            except Exception as error:  # how a death shows depends on what was under way
                self._recover(error)
            else:
                if "failed" in batch:
                    failure = batch["failed"].original()
                    self._note(failure)
                    try:
                        raise failure
                    finally:  # a reference cycle with this frame would keep the workers, which gc can't end in order
                        del failure, batch
                self.num_returned += 1
                if self.faults:
                    batch["faults"] += self.faults
                    self.faults = []
                return batch

    def _note(self, error: Exception) -> None:
        """Records the faults that the batch would have reported."""
        if isinstance(error, NoReadableVideo) and self.videos.note:
            faults = {fault.path: fault for fault in self.faults + error.faults}
            for path in self.videos.failed():  # also those of batches that are never reached
                faults.setdefault(
                    path, Fault(path, f"could not read {path}: see the first such video", self.videos.reader)
                )
            self.videos.note(list(faults.values()))

    def _recover(self, error: Exception) -> None:
        """Finds which workers died and why, and restarts them; re-raises the error if all are alive."""
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
        self.num_idle_deaths += not blamed
        if self.num_idle_deaths > MAX_IDLE_DEATHS:
            raise RuntimeError(
                f"DataLoader workers died {self.num_idle_deaths} times while idle, with exit codes "
                f"{sorted(set(dead.values()))}: -9 usually means out of memory (set fewer num_workers), "
                f"{SHARED_MEMORY_EXIT_CODE} that a batch did not fit into /dev/shm (see the error above)"
            ) from error
        self.videos.reading.fill_(-1)
        self.batches = self.loader.restart(self.num_returned)

    def _blame(self, index: int, exit_code: int | None, error: Exception) -> None:
        path = self.videos.path(index)
        was_slow = exit_code == WATCHDOG_EXIT_CODE
        if not was_slow and self.videos.state[index] == UNKNOWN:
            self.videos.state[index] = SUSPECT  # perhaps the machine was out of memory
            return
        cause = (
            f"took longer than {self.videos.seconds:g} s" if was_slow else f"ended its worker, exit code {exit_code}"
        )
        reason = f"could not read {path}: it {cause}"
        if not self.videos.replaces:
            raise DecodeError(reason) from error
        self.videos.state[index] = FAILED
        self.faults.append(Fault(path, reason, "watchdog"))
