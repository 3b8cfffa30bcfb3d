import errno
import os
import signal

import pytest

from tbe.config import build, plain
from tbe.data.storage import file_cache
from tbe.data.storage.file_cache import FileCache
from tests.conftest import composed


def fill(cache, numbers, size=1000):
    for number in numbers:
        cache.write(f"key {number}", bytes([number]) * size)


def kept(cache, numbers):
    return [number for number in numbers if cache.read(f"key {number}") is not None]


def test_what_was_used_longest_ago_makes_room(tmp_path):
    cache = FileCache(tmp_path, 10_000)
    fill(cache, range(9))
    for number, path in enumerate(sorted((path for path in tmp_path.glob("??/*")), key=os.path.getmtime)):
        os.utime(path, (number, number))
    assert cache.read("key 0") == bytes(1000)  # used now
    fill(cache, [9])
    assert kept(cache, range(10)) == [0, *range(3, 10)]
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 9_000
    assert cache.read("another key") is None


def test_processes_share_it_within_the_limit(tmp_path):
    children = []
    for first in range(0, 40, 10):
        if (child := os.fork()) == 0:
            fill(FileCache(tmp_path, 20_000), range(first, first + 10))
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    cache = FileCache(tmp_path, 20_000)
    there = kept(cache, range(40))
    assert all(cache.read(f"key {number}") == bytes([number]) * 1000 for number in there)
    assert 10 <= len(there) <= 20


def test_a_process_that_is_killed_while_it_writes_leaves_only_what_is_cleared_away(tmp_path, monkeypatch):
    cache = FileCache(tmp_path, 10_000)
    if (child := os.fork()) == 0:
        os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
        cache.write("key 1", b"content")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert cache.read("key 1") is None
    (part,) = tmp_path.glob("??/*.part")
    cache.make_room()
    assert part.exists()  # it may be that of a process which is at work
    monkeypatch.setattr(file_cache, "OLD", -1)
    cache.make_room()
    assert not part.exists()


def test_what_a_disk_has_spoiled_is_missing(tmp_path):
    cache = FileCache(tmp_path, 10_000)
    cache.write("key", b"content")
    (path,) = tmp_path.glob("??/*")
    for spoiled in (b"", b"con", b"cantent" + path.read_bytes()[7:]):
        path.write_bytes(spoiled)
        assert cache.read("key") is None
        assert not path.exists()


@pytest.mark.parametrize("is_full_of_others", [False, True])
def test_a_full_disk_makes_it_smaller_then_empty_with_one_warning(is_full_of_others, tmp_path, monkeypatch, caplog):
    cache = FileCache(tmp_path, 10_000)
    fill(cache, range(8))
    room = 0 if is_full_of_others else 7_000
    replacing = file_cache.replacing

    def into_a_full_disk(path):
        if sum(path.stat().st_size for path in tmp_path.glob("??/*")) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replacing(path)

    monkeypatch.setattr(file_cache, "replacing", into_a_full_disk)
    fill(cache, [8, 9])
    warned = [record for record in caplog.records if "No space left on device" in record.getMessage()]
    assert len(warned) == is_full_of_others
    assert (8 in kept(cache, range(10))) is not is_full_of_others


@pytest.mark.parametrize(("gigabytes", "limit"), [("0.5", 500_000_000), ("3", 3_000_000_000), ("0", None)])
def test_its_size_is_asked_for_in_gigabytes_and_0_is_no_cache(gigabytes, limit, tmp_path):
    asked = ["data=ucf101", "data.root=https://host/videos", f"data.cache.size={gigabytes}"]
    source = build(
        plain(composed("train", "experiment=none", *asked, f"data_dir={tmp_path}", run_dir=tmp_path))["data"]
    )
    cache = source.remote[1].cache()
    assert cache == (None if limit is None else FileCache(tmp_path / "cache" / "videos", limit))


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path):
    FileCache(tmp_path / "cache", 100).write("key", bytes(200))
    assert not (tmp_path / "cache").exists()
