import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tbe.backbones.vit import ViT
from tbe.data.sources.records import make_records, write_list
from tbe.data.sources.video_lists import VideoLists
from tbe.evaluation.feature_cache import FeatureCache, weights_digest
from tbe.evaluation.features import Features
from tbe.evaluation.perturbations import AddedFrame, BackgroundSwap, Clean
from tbe.evaluation.tasks.base import Evaluation


@pytest.fixture
def records(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"video")
    return make_records(tmp_path, ["a.mp4", "b.mp4"], [0, 1], [0, 0])


def cache(folder, network="n", **protocol):
    return FeatureCache(folder, network, protocol)


def test_features_are_read_as_they_were_written(tmp_path, records):
    store = cache(tmp_path)
    file = store.file(records, "test", Clean(), per_clip=True)
    assert store.read(file) is None
    found = Features(torch.rand(2, 3, 4), torch.tensor([0, 1]))
    store.write(file, found)
    assert all(torch.equal(a, b) for a, b in zip(store.read(file), found, strict=True))
    assert not list(tmp_path.glob("*.part"))


def test_the_name_depends_on_all_that_the_features_do(tmp_path, records):
    store = cache(tmp_path, clips=2)
    usual = store.file(records, "test", Clean(), True)
    assert store.file(records, "test", Clean(), True) == usual
    others = {
        store.file(records, "train", Clean(), True),
        store.file(records, "test", AddedFrame(0.5), True),
        store.file(records, "test", Clean(), False),
        cache(tmp_path, clips=3).file(records, "test", Clean(), True),
        cache(tmp_path, network="m", clips=2).file(records, "test", Clean(), True),
        store.file(make_records(tmp_path, ["a.mp4", "b.mp4"], [0, 0], [0, 0]), "test", Clean(), True),
        store.file(make_records(tmp_path, ["b.mp4", "a.mp4"], [0, 1], [0, 0]), "test", Clean(), True),
    }
    os.utime(tmp_path / "b.mp4", (1, 1))
    others.add(cache(tmp_path, clips=2).file(records, "test", Clean(), True))
    assert len(others - {usual}) == 8


def test_each_of_many_videos_counts(tmp_path):
    paths = [f"{number}.mp4" for number in range(300)]
    for path in paths:
        (tmp_path / path).write_bytes(b"video")
    many, seen = make_records(tmp_path, paths, [0] * 300, [0] * 300), set()
    for changed in (None, 0, 7, 150, 298, 299):
        if changed is not None:
            os.utime(tmp_path / paths[changed], (1, 1))
        seen.add(cache(tmp_path).file(many, "test", Clean(), True))
    assert len(seen) == 6


def test_the_name_of_what_masks_decide_changes_with_them(tmp_path, records):
    (tmp_path / "masks").mkdir()
    write_list(tmp_path / "test.txt", [("a.mp4", 0), ("b.mp4", 1)])
    source = VideoLists("some", str(tmp_path), {"test": "test.txt"}, num_classes=2, masks=str(tmp_path / "masks"))
    evaluation, names = object.__new__(Evaluation), []
    evaluation.datamodule, evaluation.cache = SimpleNamespace(source=source), cache(tmp_path)
    for content in ("", "0,1,1,5,5", "0,1,1,5,50"):
        (tmp_path / "masks" / "a.csv").write_text(content)
        evaluation._masks = {}
        names.append([evaluation._file("test", change, True) for change in (Clean(), BackgroundSwap())])
    plain, swapped = zip(*names, strict=True)
    assert len(set(plain)) == 1
    assert len(set(swapped)) == 3


def test_a_corrupt_cache_file_is_recomputed(tmp_path, records, caplog):
    store = cache(tmp_path)
    file = store.file(records, "test", Clean(), True)
    store.write(file, Features(torch.rand(2, 4), torch.tensor([0, 1])))
    whole = file.read_bytes()
    encrypted = bytearray(whole)
    for start in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):
        encrypted[start] |= 1
    for content in (whole[:100], b"", b"PK", b"\x93NUMPY", whole.replace(b"vectors", b"victors"), bytes(encrypted)):
        caplog.clear()
        file.write_bytes(content)
        assert store.read(file) is None
        assert "computing them again" in caplog.text
        assert len(caplog.records) == 1
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    file.write_bytes(array.getvalue())
    assert store.read(file) is None
    file.unlink()
    file.mkdir()
    assert store.read(file) is None


class FullDisk(io.FileIO):
    """A file that takes some bytes."""

    def write(self, data):
        super().write(bytes(data)[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fault", ["a file", "below a file", "no right", "full"])
def test_a_folder_that_cannot_be_written_is_a_warning_and_leaves_nothing(tmp_path, records, caplog, monkeypatch, fault):
    folder = tmp_path / "cache"
    if fault == "full":
        folder.mkdir()
        monkeypatch.setattr(Path, "open", lambda path, mode: FullDisk(path, mode))
    elif fault == "no right":  # which root has everywhere
        monkeypatch.setattr(Path, "mkdir", refuse)
    else:
        folder.write_text("notes")
    store = cache(folder / "below" if fault == "below a file" else folder)
    file, found = store.file(records, "test", Clean(), True), Features(torch.rand(2, 4), torch.tensor([0, 1]))
    assert store.read(file) is None
    store.write(file, found)
    store.write(file, found)
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"cache={store.folder}: expected a writable folder, got [Errno" in said
    assert "cache=null" in said
    assert not list(tmp_path.rglob("*.part"))
    assert not file.exists()


def refuse(path, **_):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_every_weight_and_the_structure_are_in_the_fingerprint():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = weights_digest(network)
    assert weights_digest(network) == before
    network[1].running_mean[0] = 1e-6
    assert weights_digest(network) != before
    assert weights_digest(nn.Sequential(nn.Linear(2, 2), nn.ReLU())) != weights_digest(nn.Sequential(nn.Linear(2, 2)))
    others = {"positions": "flat"}, {"positions": "rotary"}, {"heads": 2}, {"grid": (2, 2, 2)}
    vits = [ViT(**{"width": 12, "depth": 1, "heads": 1, **other}) for other in ({}, *others)]
    for vit in vits:  # whose weights all have the same shapes
        vit.load_state_dict(vits[0].state_dict())
    assert len(set(map(weights_digest, vits))) == len(vits)
