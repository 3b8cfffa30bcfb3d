"""Shards that several machines pack, one part each, and their joining."""

import os
import shutil
from pathlib import Path

import pytest

from tbe.data.storage.pieces import FolderStore
from tbe.data.storage.shard_index import INDEX, read_index
from tbe.prepare.common.parts import Part
from tbe.prepare.tools.shards.machines import dealt, divided
from tbe.prepare.tools.shards.plan import Sample, in_order
from tests.shards import make_shards

PARTS = 3
LISTS = ("train.txt", "test.txt")


@pytest.fixture(scope="module")
def videos(video_folder, tmp_path_factory):
    """The videos of the folder; the one that comes first in the shards can't be opened."""
    root = shutil.copytree(video_folder, tmp_path_factory.mktemp("packed") / "videos")
    alone = make_shards(root, root.parent / "alone", lists=LISTS)
    shutil.move(root / order_of(alone)[0], root.parent / "first.mp4")
    (root / order_of(alone)[0]).write_text("no video\n" * 100)
    return root


@pytest.fixture(scope="module")
def joined(videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("joined")
    for number in (2, 3, 1):
        pack(videos, out, number)
    called(videos, out, "--join")
    return out


def called(videos, out, *options):
    """Returns what the command ends with."""
    try:
        make_shards(videos, out, *options, lists=LISTS)
    except SystemExit as ended:
        return str(ended.code)


def pack(videos, out, number):
    said = called(videos, out, "--part", f"{number}/{PARTS}")
    assert said == "0" or "videos failed: see" in said


def order_of(out):
    return list(read_index((out / INDEX).read_bytes(), INDEX).column("path"))


def contents(out):
    return {file.name: file.read_bytes() for file in out.iterdir() if file.suffix in (".tar", ".npz", ".txt")}


def test_joined_parts_hold_the_videos_of_one_machine_in_its_order_under_numbers_without_a_gap(videos, joined):
    alone = videos.parent / "alone"
    assert order_of(joined) == order_of(alone)[1:]
    for name in ("train", "test"):
        tars = sorted(file.name for file in joined.glob(f"{name}-*.tar"))
        assert tars == [f"{name}-{number:06d}.tar" for number in range(len(tars))]
    index = read_index((joined / INDEX).read_bytes(), INDEX)
    for number, path in enumerate(index.column("path")):
        assert FolderStore(str(joined)).read(index.places.piece(number)) == (videos / path).read_bytes()
    assert not list(joined.glob("part-*"))
    assert "got one with size=2e-05 seed=0 parts=3" in called(videos, joined)  # one machine packs otherwise


def test_what_a_part_has_not_packed_is_named_and_a_killed_join_goes_on(videos, joined, tmp_path, monkeypatch):
    for number in (1, 2):
        pack(videos, tmp_path, number)
    assert "run again with --part 3/3 (4 missing)" in called(videos, tmp_path, "--join")
    pack(videos, tmp_path, 3)
    (lost, *_) = (tmp_path / "part-00003-of-00003").glob("*.tar")
    lost.unlink()
    assert f"such as {lost}: run again with --part 3/3 (1 missing)" in called(videos, tmp_path, "--join")
    assert not list(tmp_path.glob("*.tar"))
    pack(videos, tmp_path, 3)
    replace, moved = os.replace, []

    def killed(source, target):
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.extend([target] if Path(source).suffix == ".tar" else [])
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        called(videos, tmp_path, "--join")
    monkeypatch.undo()
    assert len(list(tmp_path.glob("*.tar"))) == 3
    assert not (tmp_path / INDEX).exists()
    assert "1 of 12 videos failed" in called(videos, tmp_path, "--join")
    assert contents(tmp_path) == contents(joined)


def test_a_part_that_runs_again_packs_only_what_changed_and_the_join_numbers_all_again(videos, joined, tmp_path):
    root, out = shutil.copytree(videos, tmp_path / "videos"), shutil.copytree(joined, tmp_path / "out")
    for number in range(1, PARTS + 1):
        pack(root, out, number)
    assert not list(out.glob("part-*/*.tar"))  # all are joined
    before = contents(out)
    assert "1 of 12 videos failed" in called(root, out, "--join")
    assert contents(out) == before
    shutil.copy(videos.parent / "first.mp4", root / order_of(videos.parent / "alone")[0])
    assert called(root, out, "--part", f"1/{PARTS}", "--retry") == "0"
    assert called(root, out, "--join") is None
    assert order_of(out) == order_of(videos.parent / "alone")
    index = read_index((out / INDEX).read_bytes(), INDEX)
    assert len(index.places.shards) == len(list(out.glob("*.tar"))) > len(list(joined.glob("*.tar")))
    for number, path in enumerate(index.column("path")):
        assert FolderStore(str(out)).read(index.places.piece(number)) == (root / path).read_bytes()


def test_each_part_is_dealt_a_run_of_the_order():
    listed = {name: [Sample("", 0, 0, 0, f"{name}/{number}", 0, 0) for number in range(9)] for name in ("a", "b")}
    runs = divided(listed, 5, seed=0)
    paths = [[sample.path for piece in run for sample in piece.samples] for run in runs]
    assert paths == [Part(number, 5).of(dealt(runs)) for number in range(1, 6)]
    assert [len(own) for own in paths] == [4, 4, 4, 3, 3]
    assert [path for own in paths for path in own] == [
        sample.path for name in ("a", "b") for sample in in_order(listed[name], 0)
    ]
    assert [(name, first) for run in runs for name, first, _ in run] == [
        ("a", 0),
        ("a", 4),
        ("a", 8),
        ("b", 0),
        ("b", 3),
        ("b", 6),
    ]
