"""Records in processes that start anew: one copy for all of them, which goes with the records."""

import gc
import io
import os
import pickle
from multiprocessing import context, popen_spawn_posix, reduction

import numpy as np
import pytest

from tbe.data.sources import memory_files
from tbe.data.sources.records import Records, read_list, write_list
from tbe.data.sources.text_columns import Names, TextColumn
from tbe.data.storage.pieces import Places

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")


class Starting:
    """Stands in for a process that is being started, which is this one."""

    DupFd = popen_spawn_posix._DupFd

    def duplicate_for_child(self, descriptor):
        return os.dup(descriptor)


def handed_over(value):
    """What a process gets that starts anew, and the bytes that are sent to it."""
    context.set_spawning_popen(Starting())
    try:
        sent = io.BytesIO()
        reduction.ForkingPickler(sent).dump(value)
    finally:
        context.set_spawning_popen(None)
    return pickle.loads(sent.getvalue()), len(sent.getvalue())


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_files, "MIN_BYTES", 1000)
    write_list(tmp_path / "list.txt", [(f"a folder/{number}.mp4", number % 7, 9) for number in range(5000)])
    listed = read_list(tmp_path / "list.txt", "/r")
    scenes = Names(np.arange(5000, dtype=np.int32) % 2, TextColumn.of([b"a", b"b"]))
    column = np.arange(5000)
    places = Places(("train-000000.tar",), np.zeros(5000, np.int32), column, column + 1, column.astype(np.uint32))
    return Records(listed.root, listed.paths, listed.labels, listed.num_frames, scenes=scenes, places=places)


def test_processes_get_the_same_records_without_a_copy(records):
    before = len(memory_files._files)
    for _ in range(3):  # workers
        found, num_sent = handed_over(records)
        assert num_sent < 2000
        assert found.paths.tolist() == records.paths.tolist()
        assert found.path(4999) == "/r/a folder/4999.mp4"
        assert (found.labels == records.labels).all()
        assert found.scenes.tolist() == records.scenes.tolist()
        assert found.places.piece(7) == records.places.piece(7)
        assert found.select(np.array([3, 1])).paths.tolist() == [b"a folder/3.mp4", b"a folder/1.mp4"]
        assert pickle.loads(pickle.dumps(found.paths)).tolist() == records.paths.tolist()  # handed on as a copy
    assert (
        len(memory_files._files) == before + 10
    )  # texts, starts, lengths, labels, frames, scenes and four of places: once


def test_files_in_memory_go_with_the_records(records):
    gc.collect()
    before = len(memory_files._files)
    part = records.select(np.arange(4000))
    handed_over(part)
    assert len(memory_files._files) > before
    del part
    gc.collect()
    assert len(memory_files._files) == before


def test_few_videos_and_other_pickles_are_copied(records):
    assert not memory_files.is_shared(10**9)
    assert len(pickle.dumps(records)) > 100_000
    found, _ = handed_over(records.select(np.arange(20)))
    assert found.paths.tolist() == records.paths.tolist()[:20]
