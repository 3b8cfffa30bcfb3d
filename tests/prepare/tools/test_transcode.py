from fractions import Fraction

import av
import numpy as np
import pytest

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecordReader
from tbe.data.sources.records import read_list, write_list
from tbe.data.video_writer import write_video
from tests.conftest import moving_square
from tests.prepare.videos import lying


def with_sound_and_uneven_times(path, frames):
    """Writes a video with a second of silence, and frames of increasing duration."""
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=8000)
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number * number, Fraction(1, 100)
            container.mux(video.encode(frame))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "run" / "a 1.mp4", moving_square(40, 64, 100), fps=Fraction(30000, 1001), gop=40)
    write_video(root / "walk" / "b.avi", moving_square(12, 48, 64), fps=25, codec="mpeg4")
    with_sound_and_uneven_times(root / "walk" / "c.mkv", moving_square(15, 64, 96))
    (root / "walk" / "d.mp4").write_bytes(lying((root / "run" / "a 1.mp4").read_bytes(), turns=3))
    (root / "walk" / "text.mp4").write_text("no video\n" * 100)
    write_list(root / "lists" / "train.txt", [("run/a 1.mp4", 0), ("walk/b.avi", 1), ("walk/text.mp4", 1)])
    write_list(root / "lists" / "val.txt", [("walk/c.mkv", 1), ("walk/d.mp4", 1)])
    return root


@pytest.fixture(scope="module")
def transcoded(videos, tmp_path_factory):
    """The output of the command on them, and its exit status."""
    out = tmp_path_factory.mktemp("out")
    with pytest.raises(SystemExit) as ended:
        run(videos, out)
    return out, ended.value.code


def run(videos, out, *options, lists=("train.txt", "val.txt")):
    files = [videos / "lists" / name for name in lists]
    options = ["--root", videos, "--out", out, "--list", *files, "--short-side", 32, "--workers", 2, *options]
    prepare.main(["transcode", *map(str, options)])


def test_lists_name_the_new_videos_and_failures_are_named(transcoded, videos):
    out, ended = transcoded
    assert (out / "train.txt").read_text() == "run/a 1.mp4 0 40\nwalk/b.mp4 1 12\n"
    assert (out / "val.txt").read_text() == "walk/c.mp4 1 15\nwalk/d.mp4 1 40\n"
    assert "1 of 5 videos failed: see" in ended
    report = (out / "transcode_report.csv").read_text()
    settings = f"short_side=32 keyframes=12 crf=23 preset=medium of root={videos.name}"
    assert f"run/a 1.mp4,ok,40,32,50,{settings},\n" in report
    assert "walk/text.mp4,failed,0,0,0," in report
    assert not list(out.rglob("*.part"))


def square_position(frame):
    """Returns the first bright column of a frame (C, H, W), as a share of its width."""
    row = frame[:, 14 * frame.shape[1] // 64 : 18 * frame.shape[1] // 64].float().mean(dim=(0, 1))
    return float((row > 170).float().argmax()) / len(row)


def test_every_frame_keeps_its_position(transcoded, videos):
    out, _ = transcoded
    for old, new in (("run/a 1.mp4", "run/a 1.mp4"), ("walk/c.mkv", "walk/c.mp4")):
        source, result = DecordReader("cpu")(str(videos / old)), DecordReader("cpu")(str(out / new))
        assert len(result) == len(source)
        for number in range(len(source)):
            places = [square_position(reader.frames([number])[0]) for reader in (source, result)]
            assert places[0] == pytest.approx(places[1], abs=0.025)
            assert places[0] == pytest.approx(number / (100 if "a 1" in old else 96), abs=0.015)


def test_key_frames_rate_and_sound(transcoded, videos):
    out, _ = transcoded
    with av.open(str(out / "run" / "a 1.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        keys = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
        assert np.diff(keys).max() <= 12
    with av.open(str(videos / "walk" / "c.mkv")) as container:
        assert container.streams.audio
    with av.open(str(out / "walk" / "c.mp4")) as container:
        assert not container.streams.audio
        assert container.streams.video[0].codec.name == "h264"


def test_sizes_keep_the_aspect_and_are_even(transcoded):
    out, _ = transcoded
    sizes = {
        name: tuple(DecordReader("cpu")(str(out / name)).frames([0]).shape[2:])
        for name in ("run/a 1.mp4", "walk/b.mp4", "walk/d.mp4")
    }
    assert sizes == {"run/a 1.mp4": (32, 50), "walk/b.mp4": (32, 42), "walk/d.mp4": (50, 32)}


def test_rotated_videos_become_upright(transcoded):
    out, _ = transcoded
    upright, turned = (DecordReader("cpu")(str(out / name)).frames([7])[0] for name in ("run/a 1.mp4", "walk/d.mp4"))
    assert (turned.float() - upright.float().rot90(1, dims=(1, 2))).abs().mean() < 5


def test_a_second_run_resumes_and_says_what_it_does_not_make_again(videos, tmp_path, capsys):
    run(videos, tmp_path, lists=["val.txt"])
    (tmp_path / "walk" / "d.mp4").unlink()
    (tmp_path / "walk" / "c.mp4").write_bytes(b"kept")
    for name in (f"d.mp4.{'a1' * 16}.part", "of somebody else.part"):  # the first of a process that was killed
        (tmp_path / "walk" / name).touch()
    run(videos, tmp_path, lists=["val.txt"])
    assert (tmp_path / "walk" / "c.mp4").read_bytes() == b"kept"
    assert f"transcode: 1 of 2 videos are in {tmp_path}/transcode_report.csv already" in capsys.readouterr().out
    assert len(DecordReader("cpu")(str(tmp_path / "walk" / "d.mp4"))) == 40
    assert [part.name for part in tmp_path.rglob("*.part")] == ["of somebody else.part"]
    with pytest.raises(SystemExit, match="expected a report of a run with .*crf=30.*, got one with .*crf=23"):
        run(videos, tmp_path, "--crf", 30, lists=["val.txt"])


@pytest.mark.parametrize(("option", "value"), [("--short-side", 1), ("--keyframes", 0), ("--crf", 52)])
def test_impossible_options_are_refused(videos, tmp_path, option, value):
    with pytest.raises(SystemExit, match="expected short-side >= 2, keyframes >= 1 and crf 0 to 51, got"):
        run(videos, tmp_path, option, value)


def test_real_videos_keep_their_frames(shared_clips, tmp_path):
    names = ["hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi", "other/bt709_full_range.mp4"]
    write_list(tmp_path / "list.txt", [(name, 0) for name in names])
    options = ["--root", shared_clips, "--list", tmp_path / "list.txt", "--out", tmp_path / "out", "--short-side", 96]
    prepare.main(["transcode", *map(str, options), "--preset", "veryfast"])
    records = read_list(tmp_path / "out" / "list.txt", tmp_path / "out")
    assert records.num_frames.tolist() == [72, 30]
    for index, name in enumerate(names):
        new, old = DecordReader("cpu")(records.path(index)), DecordReader("cpu")(str(shared_clips / name))
        assert len(new) == records.num_frames[index]
        colors = [reader.frames([3]).float().mean(dim=(0, 2, 3)) for reader in (new, old)]
        assert (colors[0] - colors[1]).abs().max() < 3
