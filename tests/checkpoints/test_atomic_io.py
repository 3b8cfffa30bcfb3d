import errno
import importlib
import logging
import os
import resource
from zipfile import ZipFile

import pytest
import torch

from tbe.checkpoints.atomic_io import AtomicCheckpoints, is_intact, latest_intact


def saved(path, number, size=1000):
    AtomicCheckpoints().save_checkpoint({"number": number, "weights": torch.full((size,), float(number))}, path)
    return path


def number(path):
    checkpoint = torch.load(path, weights_only=True)
    assert (checkpoint["weights"] == checkpoint["number"]).all()
    return checkpoint["number"]


def tear(path, at=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(at * len(content))])


def test_the_previous_checkpoint_is_kept(tmp_path):
    for count in (1, 2, 3):
        last = saved(tmp_path / "checkpoints" / "last.ckpt", count)
    assert number(last) == 3
    assert number(tmp_path / "checkpoints" / "last.ckpt.previous") == 2
    assert len(list(last.parent.iterdir())) == 2
    AtomicCheckpoints().remove_checkpoint(last)
    assert list(last.parent.iterdir()) == []


def test_the_previous_checkpoint_is_kept_without_hard_links(tmp_path, monkeypatch):
    def refused(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    last = saved(saved(tmp_path / "last.ckpt", 1), 2)
    assert (number(last), number(tmp_path / "last.ckpt.previous")) == (2, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts the writer with fork")
@pytest.mark.parametrize("trial", range(10))
def test_a_run_killed_while_it_writes_leaves_a_whole_checkpoint(tmp_path, monkeypatch, trial):
    last = tmp_path / "last.ckpt"
    importlib.import_module("benchmarks.faults.checkpoints").kill_writer(last, 0.02 + 0.013 * trial)
    assert is_intact(last)
    assert number(last) >= 0


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path):
    last = saved(tmp_path / "last.ckpt", 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # larger files fail as on a full disk
    try:
        with pytest.raises(
            OSError, match=r"could not write the checkpoint .*is the disk full\? the previous one is intact"
        ):
            saved(last, 2, size=100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert number(last) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_folder_without_write_access_is_a_clear_error(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"could not write the checkpoint .*there is no previous one"):
        saved(tmp_path / "checkpoints" / "last.ckpt", 1)


@pytest.mark.parametrize("at", [0, 0.3, 0.999])
def test_the_previous_checkpoint_replaces_a_corrupt_one(tmp_path, caplog, at):
    last = saved(saved(tmp_path / "last.ckpt", 1), 2)
    assert latest_intact(last) == last
    tear(last, at)
    with caplog.at_level(logging.WARNING):
        assert number(latest_intact(last)) == 1
    assert f"{last} is corrupt: using the previous checkpoint, {last}.previous" in caplog.text


def test_a_changed_byte_of_the_weights_is_found(tmp_path):
    last = saved(tmp_path / "last.ckpt", 1)
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert not is_intact(last)


def test_any_changed_bit_of_the_directory_is_found_or_changes_nothing(tmp_path):
    last = saved(tmp_path / "last.ckpt", 1, size=10)
    content, (entry,) = last.read_bytes(), [e for e in ZipFile(last).infolist() if e.filename.endswith("/data/0")]
    start = content.rindex(entry.filename.encode()) - 46  # of the record of these weights, after all contents
    assert content[start : start + 4] == b"PK\x01\x02"
    found = 0
    for bit in range(8 * (46 + len(entry.filename))):
        changed = bytearray(content)
        changed[start + bit // 8] ^= 1 << bit % 8
        last.write_bytes(changed)
        if is_intact(last):
            assert number(last) == 1, f"bit {bit}"
        else:
            found += 1
    assert found > 200


def test_two_corrupt_checkpoints_are_refused(tmp_path):
    last = saved(saved(tmp_path / "last.ckpt", 1), 2)
    for path in tmp_path.iterdir():
        tear(path)
    with pytest.raises(ValueError, match=r"expected an intact checkpoint, got a corrupt file, and no intact"):
        latest_intact(last)


def test_a_run_resumes_from_the_checkpoint_before_a_corrupt_one(train, caplog):
    run = train("epochs=2")
    last = run / "checkpoints" / "last.ckpt"
    tear(last)
    assert torch.load(f"{last}.previous", weights_only=True)["global_step"] == 4
    train("epochs=3", f"resume={run}")
    assert f"{last} is corrupt" in caplog.text
    assert torch.load(last, weights_only=True)["global_step"] == 12
