import os
import shlex
import sys

import pytest

from tbe.config import build, plain
from tbe.data.sources.video_lists import VideoLists
from tests.conftest import composed


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "my videos"
    for name in ("walk", "jump high/day 1"):
        (root / name).mkdir(parents=True)
        for number in range(5):
            (root / name / f"clip {number}.MP4").touch()
    for name in ("walk/notes.txt", "walk/._clip 0.mp4", ".trash/old.mp4", "empty/readme"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    return root


def test_class_folders_become_labels_and_a_share_of_each_is_held_out(videos, lists, rows, capsys):
    folder = lists("folder", "--root", videos, "--test-share", 0.4)
    train, test = rows(folder / "train.txt"), rows(folder / "test.txt")
    names = [f"jump high/day 1/clip {number}.MP4" for number in range(5)]
    assert sorted(train + test) == [(name, 0) for name in names] + [(f"walk/clip {n}.MP4", 1) for n in range(5)]
    assert [label for _, label in test] == [0, 0, 1, 1]
    assert (folder / "classes.txt").read_text() == "jump high\nwalk\n"
    assert f"""and: 'data.root="{videos}"'\n""" in capsys.readouterr().out


def test_the_seed_draws_the_held_out_videos(videos, lists):
    drawn = [
        (lists("folder", "--root", videos, "--test-share", 0.4, "--seed", seed) / "test.txt").read_text()
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_with_test_share_zero_there_is_no_test_list(videos, lists, rows, capsys, refused):
    folder = lists("folder", "--root", videos, "--test-share", 0)
    assert len(rows(folder / "train.txt")) == 10
    assert not (folder / "test.txt").exists()
    assert "'~data.splits.test'" in capsys.readouterr().out
    (folder / "test.txt").touch()
    refused("expected no test.txt, as train.txt gets all videos", "folder", "--root", videos, "--test-share", 0)


def test_a_flat_folder_is_unlabeled(videos, lists, rows, capsys):
    (videos / "walk" / "#1.mp4").touch()
    folder = lists("folder", "--root", videos / "walk", "--test-share", 0)
    assert rows(folder / "train.txt") == [("./#1.mp4", 0), *((f"clip {number}.MP4", 0) for number in range(5))]
    assert "so no classes: every label is 0" in capsys.readouterr().out


def test_suffixes_can_be_chosen(videos, lists, rows):
    (videos / "walk" / "a.GIF").touch()
    folder = lists("folder", "--root", videos, "--suffixes", "gif", ".mpg", "--test-share", 0)
    assert rows(folder / "train.txt") == [("walk/a.GIF", 0)]


def test_linked_folders_are_followed_as_in_training_but_not_in_circles(videos, lists, rows, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "run.avi").touch()
    (videos / "run").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (videos / "walk" / "again").symlink_to(videos, target_is_directory=True)
    (videos / "walk" / "inside.mp4").symlink_to(videos / "walk" / "clip 0.MP4")
    (videos / "walk" / "outside.mp4").symlink_to(tmp_path / "elsewhere" / "run.avi")
    for options, expected in (([], 11), (["--allow-outside-root"], 13)):
        folder = lists("folder", "--root", videos, "--test-share", 0, *options)
        said = capsys.readouterr().out
        paths = [path for path, _ in rows(folder / "train.txt")]
        assert len(paths) == expected
        assert "walk/inside.mp4" in paths
        assert ("run/run.avi" in paths) == ("walk/outside.mp4" in paths) == bool(options)
        assert ("left out 2 videos that links lead outside, such as 'run/run.avi'" in said) == (not options)
        assert ("data.allow_outside_root=true" in said.splitlines()[-1]) == bool(options)
        allowed = {"allow_outside_root": bool(options), "val_share": 0, "lists": str(folder)}
        data = VideoLists("folder", str(videos), {"train": "train.txt"}, 3, **allowed)
        records = data.records("train")
        assert all(os.path.exists(records.to_open(index)) for index in range(expected))  # none is refused


def test_skipped_files_are_counted_by_suffix(videos, lists, rows, capsys):
    for name in ("a.GIF", "b.gif", "c.h264", "LICENSE", "d.3gp", "e.OGV"):
        (videos / "walk" / name).touch()
    folder = lists("folder", "--root", videos, "--test-share", 0)
    assert {"walk/d.3gp", "walk/e.OGV"} < {path for path, _ in rows(folder / "train.txt")}
    assert "skipped 6 files without the suffix of a video: 2 .gif, " in (said := capsys.readouterr().out)
    assert all(f"1 {suffix}" in said for suffix in (".h264", ".txt"))
    assert "2 without a suffix" in said  # LICENSE and the readme


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_names_that_are_not_utf8_are_listed(videos, lists):
    (videos / "walk" / os.fsdecode(b"\xff.mp4")).touch()
    folder = lists("folder", "--root", videos, "--test-share", 0)
    assert b"walk/\xff.mp4 1\n" in (folder / "train.txt").read_bytes()


@pytest.mark.parametrize(
    ("loose", "options", "message"),
    [
        (
            "loose.mp4",
            [],
            r"expected all videos in class sub-folders, or none, got 1 of 11 beside them, such as 'loose.mp4'",
        ),
        (None, ["--suffixes", "xyz"], r"expected files with xyz, found none"),
        (None, ["--test-share", "1"], r"--test-share: expected 0 to less than 1, got 1.0"),
        ("walk/line\nbreak.mp4", [], r"expected a path without line breaks .*, got 'walk/line\\nbreak.mp4'"),
    ],
)
def test_paths_that_lists_cannot_hold_are_refused(videos, refused, loose, options, message):
    if loose:
        (videos / loose).touch()
    refused(message, "folder", "--root", videos, *options)


def test_a_missing_folder_is_named(refused, tmp_path):
    refused(r"gone: expected the folder of the videos, got no such folder", "folder", "--root", tmp_path / "gone")


@pytest.mark.parametrize("share", [0, 0.4])
def test_the_printed_options_name_the_data_set(videos, lists, capsys, tmp_path, share):
    videos = videos.rename(tmp_path / "José's (new) videos, take=1")
    lists("folder", "--root", videos, "--test-share", share)
    said = capsys.readouterr().out.splitlines()[-2:]
    options = [shlex.split(line.partition(": ")[2]) for line in said]
    source = build(plain(composed("train", *options[0], *options[1], run_dir=tmp_path).data))
    source.prepare()
    assert len(source.records("train")) + len(source.records("val")) == (6 if share else 10)
    assert source.has("test") == bool(share)
