import ctypes
import os
import resource
import signal
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import SequentialSampler, default_collate
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from tbe.data.fault_tolerance.loader import MAX_DRAWS, FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.readers import DecodeError
from tbe.errors import UserError


@pytest.fixture(autouse=True)
def _deaths_are_noticed_at_once(monkeypatch):
    """PyTorch checks only every five seconds whether all workers are alive."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


class Videos:
    """Numbers in place of videos, some of them faulty; records each read."""

    def __init__(self, folder, count=12, **faults):
        self.folder = Path(folder)
        self.count = count
        self.faults = faults

    def __len__(self):
        return self.count

    def __getitem__(self, key):
        index, draw = key if isinstance(key, tuple) else (key, -1)
        with (self.folder / f"{index}.reads").open("a") as notes:
            notes.write(".")
        fault = self.faults.get(f"at_{index}")
        if fault == "broken" or (fault == "broken later" and self.reads(index) > 1):
            raise DecodeError(f"could not open {index}.mp4: no video")
        if fault == "hangs":  # and does not let go of Python's lock
            ctypes.PyDLL(None).sleep(100)
        if fault == "crashes" or (fault == "crashes once" and self.reads(index) == 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        return {"index": index, "draw": draw}

    def reads(self, index):
        return len((self.folder / f"{index}.reads").read_text())

    def path(self, index):
        return f"{index}.mp4"

    def collate(self, items):
        return default_collate(items)


def loader(videos, workers=2, replaces=True, seconds=2.0, sampler=None, known=None, batch_size=2, **settings):
    guarded = FaultTolerantDataset(videos, seconds, replaces, known, reader="Numbers")
    return FaultTolerantLoader(
        guarded,
        batch_size=batch_size,
        sampler=ReplayedSampler(sampler or SequentialSampler(range(len(videos)))),
        collate_fn=guarded.collate,
        num_workers=workers,
        **settings,
    )


def indices(batches):
    return [index for batch in batches for index in batch["index"].tolist()]


def faults(batches):
    return [fault for batch in batches for fault in batch["faults"]]


def test_readable_videos_are_returned_as_requested(tmp_path):
    batches = list(loader(Videos(tmp_path)))
    assert indices(batches) == list(range(12))
    assert faults(batches) == []
    assert "faults" not in next(iter(loader(Videos(tmp_path), replaces=False)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_video_is_reported_and_replaced(tmp_path, workers):
    batches = list(loader(Videos(tmp_path, at_5="broken"), workers))
    assert faults(batches) == [("5.mp4", "could not open 5.mp4: no video", "Numbers")]
    seen = indices(batches)
    assert seen[:5] + seen[6:] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert seen[5] != 5
    assert [pair for batch in batches for pair in batch["replaced"]] == [("5.mp4", f"{seen[5]}.mp4")]


def test_the_replacement_depends_only_on_the_key(tmp_path):
    asked = [(index, 7 * index) for index in range(12)]
    runs = [
        indices(loader(Videos(tmp_path, at_5="broken", at_9="broken"), workers, sampler=asked, known=known))
        for workers, known in ((0, None), (2, None), (2, np.arange(12) == 5))
    ]
    assert runs[0] == runs[1] == runs[2]
    others = indices(loader(Videos(tmp_path, at_5="broken", at_9="broken"), 0, sampler=[(i, i + 1) for i in range(12)]))
    assert others != runs[0]


def test_a_failed_video_is_not_tried_again(tmp_path):
    videos = Videos(tmp_path, at_5="broken")
    batches = loader(videos, persistent_workers=True)
    found = [fault for _ in range(3) for fault in faults(batches)]
    assert len(found) == 1
    assert videos.reads(5) == 1
    list(loader(videos, known=np.arange(12) == 5))
    assert videos.reads(5) == 1


def test_without_replacement_the_error_names_the_video(tmp_path):
    with pytest.raises(DecodeError, match=r"could not open 5\.mp4: no video"):
        list(loader(Videos(tmp_path, at_5="broken"), replaces=False))


@pytest.mark.parametrize("workers", [0, 2])
def test_only_broken_videos_end_the_run_and_are_all_reported(tmp_path, workers):
    broken = {f"at_{index}": "broken" for index in range(12)}
    batches, noted = loader(Videos(tmp_path, **broken), workers), []
    batches.dataset.note = noted.extend
    told = rf"expected a readable video among {MAX_DRAWS} draws, got none: 0.mp4, .* \(could not open \d+.mp4: no"
    with pytest.raises(DecodeError, match=told):
        list(batches)
    assert {fault.path for fault in noted} == {f"{index}.mp4" for index in range(12)}


def test_faults_found_before_a_batch_failed_are_recorded_with_reasons(tmp_path):
    videos = Videos(tmp_path, count=2, at_0="broken later", at_1="broken")
    batches, noted = loader(videos, workers=1, sampler=[1, 0]), []
    batches.dataset.note = noted.extend
    with pytest.raises(DecodeError, match="got none: 0.mp4"):
        list(batches)
    assert noted == [(f"{i}.mp4", f"could not open {i}.mp4: no video", "Numbers") for i in (1, 0)]


class Unlike(Exception):
    """An error that can't be pickled from its message alone, as in some libraries."""

    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DecodeError("could not open a.mp4: no video\nsecond line"), None),
        (UserError("expected masks of one size"), None),
        (FileNotFoundError(2, "No such file", "a.png"), None),
        (KeyError("clips"), None),
        (Unlike(3, "odd"), RuntimeError("Unlike: odd (3)")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["__getitem__", "collate"])
def test_a_workers_error_is_raised_as_without_workers(tmp_path, monkeypatch, error, expected, where):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(Videos, where, fail)
    for workers in (0, 1):
        with pytest.raises((type(error), RuntimeError)) as raised:
            next(iter(loader(Videos(tmp_path), workers, replaces=False)))
        wanted = expected if expected and workers else error
        assert (type(raised.value), str(raised.value)) == (type(wanted), str(wanted))
    told = "".join(traceback.format_exception(raised.value))
    assert "In worker 0 of the loader" in told
    assert "in fail" in told


def test_a_reader_that_hangs_with_the_gil_is_killed_and_nothing_is_lost(tmp_path):
    batches = list(loader(Videos(tmp_path, at_3="hangs"), seconds=1.0))
    assert faults(batches) == [("3.mp4", "could not read 3.mp4: it took longer than 1 s", "watchdog")]
    seen = indices(batches)
    assert seen[:3] + seen[4:] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]


def test_without_replacement_a_hanging_video_is_named(tmp_path):
    with pytest.raises(DecodeError, match=r"could not read 3\.mp4: it took longer than 1 s"):
        list(loader(Videos(tmp_path, at_3="hangs"), replaces=False, seconds=1.0))


def test_a_video_that_kills_two_workers_is_blamed(tmp_path):
    videos = Videos(tmp_path, at_3="crashes")
    batches = list(loader(videos))
    assert [fault.reason for fault in faults(batches)] == ["could not read 3.mp4: it ended its worker, exit code -11"]
    assert videos.reads(3) == 2
    assert len(indices(batches)) == 12


@pytest.mark.parametrize("replaces", [True, False])
def test_a_worker_that_dies_once_costs_nothing(tmp_path, replaces):
    batches = list(loader(Videos(tmp_path, at_3="crashes once"), replaces=replaces))
    assert indices(batches) == list(range(12))


def test_a_persistent_loader_goes_on_after_a_death(tmp_path):
    batches = loader(Videos(tmp_path, at_3="hangs"), seconds=1.0, persistent_workers=True)
    first, second = indices(batches), indices(batches)
    assert first == second
    assert len(first) == 12


def test_workers_that_die_while_idle_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("tbe.data.fault_tolerance.loader.MAX_IDLE_DEATHS", 1)

    class Dying(Videos):
        def collate(self, items):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="workers died 2 times while idle"):
        list(loader(Dying(tmp_path), workers=1))


def test_workers_without_shared_memory_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("tbe.data.fault_tolerance.loader.MAX_IDLE_DEATHS", 1)

    class Large(Videos):
        def collate(self, items):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a larger batch fails as where /dev/shm is full
            return {"clips": torch.zeros(len(items), 10_000)}

    with pytest.raises(RuntimeError, match=r"workers died 2 times while idle, with exit codes \[3\]"):
        list(loader(Large(tmp_path), workers=1))


def test_a_replayed_sampler_draws_anew_only_at_the_start():
    calls = []

    class Once:
        def __len__(self):
            return 4

        def __iter__(self):
            calls.append(1)
            return iter(torch.randperm(4).tolist())

    sampler = ReplayedSampler(Once())
    first = list(sampler)
    sampler.resume_at = 2
    assert list(sampler) == first[2:]
    assert len(calls) == 1
    assert len(list(sampler)) == 4
    assert len(calls) == 2


def test_a_time_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="read_timeout: expected seconds above 0, got 0"):
        FaultTolerantDataset([], 0)
