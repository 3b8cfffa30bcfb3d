import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecordReader, FrameFolderReader
from tbe.data.sources.records import read_list, write_list
from tbe.data.video_writer import write_video
from tests.conftest import moving_square
from tests.prepare.videos import lying


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of two classes, one of them rotated, and a text file."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "run" / "a 1.mp4", moving_square(9, 32, 48), fps=25)
    write_video(root / "walk" / "b.avi", moving_square(12, 48, 64, seed=1), fps=25, codec="mpeg4")
    (root / "walk" / "c.mp4").write_bytes(lying((root / "run" / "a 1.mp4").read_bytes(), turns=1))
    (root / "walk" / "text.mp4").write_text("no video\n" * 100)
    return root


@pytest.fixture
def frames(videos, tmp_path):
    """frames("--quality", 95) runs the command on lists of all videos except the text file."""
    write_list(tmp_path / "train_1.txt", [("run/a 1.mp4", 0), ("walk/b.avi", 1)])
    write_list(tmp_path / "test_1.txt", [("walk/c.mp4", 1), ("walk/b.avi", 1)])
    (tmp_path / "classes.txt").write_text("run\nwalk\n")

    def run(*options, names=("train_1.txt", "test_1.txt", "classes.txt"), out="out"):
        lists = ["--list", *(tmp_path / name for name in names)] if names else []
        options = ["--root", videos, "--out", tmp_path / out, "--workers", 2, *lists, *options]
        prepare.main(["frames", *map(str, options)])
        return tmp_path / out

    return run


def test_every_frame_becomes_a_picture_that_the_reader_finds(frames, videos, capsys):
    out = frames("--quality", 95)
    assert (out / "train_1.txt").read_text() == "run/a 1 0 9\nwalk/b 1 12\n"
    assert (out / "test_1.txt").read_text() == "walk/c 1 9\nwalk/b 1 12\n"
    assert (out / "classes.txt").read_text() == "run\nwalk\n"
    records = read_list(out / "train_1.txt", out)
    for index, name in enumerate(("run/a 1.mp4", "walk/b.avi")):
        folder, video = FrameFolderReader()(records.path(index)), DecordReader("cpu")(str(videos / name))
        assert len(folder) == len(video) == records.num_frames[index]
        difference = folder.frames([0, 5]).float() - video.frames([0, 5]).float()
        assert difference.abs().mean() < 4
    assert f"use them with: data.root={out} reader=frames reader.template=img_%05d.jpg" in capsys.readouterr().out


def test_pictures_are_upright(frames, videos):
    picture = FrameFolderReader()(str(frames() / "walk" / "c")).frames([4])[0].float()
    upright = DecordReader("cpu")(str(videos / "run" / "a 1.mp4")).frames([4])[0].float()
    assert (picture - upright.rot90(-1, dims=(1, 2))).abs().mean() < 8


def test_the_short_side_is_downscaled_and_never_enlarged(frames):
    out = frames("--short-side", 36)
    sizes = {name: FrameFolderReader()(str(out / name)).frames([0]).shape[2:] for name in ("run/a 1", "walk/b")}
    assert sizes == {"run/a 1": (32, 48), "walk/b": (36, 48)}


def test_without_lists_all_videos_are_taken_and_failures_named(frames, capsys):
    with pytest.raises(SystemExit, match="1 of 4 videos failed: see .*frames_report.csv; --retry tries them again"):
        frames(names=(), out="all")
    assert "walk/text.mp4: failed:" in (said := capsys.readouterr().out)
    assert "all.txt: 3 videos, 1 left out" in said


def test_complete_folders_are_kept_and_missing_ones_made(frames, tmp_path):
    out = frames()
    kept, part = out / "run" / "a 1" / "img_00001.jpg", out / "walk" / "b.part"
    kept.write_bytes(b"still here")
    part.mkdir()
    (part / "img_00001.jpg").write_bytes(b"of a run that was killed")
    for file in (out / "walk" / "b").iterdir():
        file.unlink()
    (out / "walk" / "b").rmdir()
    (out / "frames_report.csv").unlink()
    frames()
    assert kept.read_bytes() == b"still here"
    assert len(list((out / "walk" / "b").glob("*.jpg"))) == 12
    assert not part.exists()


def test_a_folder_of_frames_from_elsewhere_is_refused(frames, tmp_path):
    (tmp_path / "out" / "walk" / "b").mkdir(parents=True)
    with pytest.raises(SystemExit, match="1 of 3 videos failed"):
        frames()
    assert "got one that this command did not make" in (tmp_path / "out" / "frames_report.csv").read_text()
    assert (tmp_path / "out" / "train_1.txt").read_text() == "run/a 1 0 9\n"


def test_existing_output_of_other_settings_is_refused(frames, tmp_path):
    frames()
    with pytest.raises(SystemExit, match="expected a report of a run with short_side=24 .*got one with short_side=256"):
        frames("--short-side", 24)
    (tmp_path / "out" / "frames_report.csv").unlink()
    with pytest.raises(SystemExit, match="3 of 3 videos failed"):
        frames("--short-side", 24)


def test_a_custom_template(frames, tmp_path):
    out = frames("--template", "%d.jpeg")
    assert sorted(path.name for path in (out / "run" / "a 1").glob("*.jpeg")) == [f"{n}.jpeg" for n in range(1, 10)]
    assert np.array(FrameFolderReader("%d.jpeg")(str(out / "run" / "a 1")).frames([8])).shape == (1, 3, 32, 48)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a.mp4", 0), ("a.avi", 0)], [], "expected one video to become 'a', got 'a.mp4' and 'a.avi'"),
        ([("../a.mp4", 0)], [], r"expected paths below --root, got '\.\./a.mp4'"),
        ([("/a.mp4", 0)], [], "expected paths below --root, got '/a.mp4'"),
        ([("a.mp4", 0)], ["--quality", "0"], "expected short-side >= 1 and quality 1 to 100, got 256 and 0"),
        ([("a.mp4", 0)], ["--template", "img.jpg"], "one %d in it, got 'img.jpg'"),
        ([("a.mp4", 0)], ["--template", "%d.png"], "--template: expected a name that ends with .jpg or .jpeg"),
        ([("a.mp4", 0)], ["--out", "{root}"], "--out: expected another folder than --root"),
        ([("a.mp4", 0)], ["--root", "{root}/gone"], "gone: expected the folder of the videos"),
        ([("a.mp4", 0)], ["--list", "{root}/gone.txt"], "gone.txt: expected a list, got no such file"),
        ([("a.mp4", 0)], ["--list", "{root}/classes.txt"], "classes.txt: expected a list of videos"),
    ],
)
def test_impossible_options_are_refused(tmp_path, rows, options, message):
    write_list(tmp_path / "list.txt", rows)
    (tmp_path / "classes.txt").write_text("run\n")
    given = ["--root", str(tmp_path), "--list", str(tmp_path / "list.txt"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=message):
        prepare.main(["frames", *given, *(option.format(root=tmp_path) for option in options)])
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
