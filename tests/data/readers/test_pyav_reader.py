"""PyAV's reader, and what the heads of files say, on files that other readers get wrong."""

import av
import numpy as np
import pytest
import torch

from tbe.data.readers import DecodeError
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.stream_info import file_facts
from tbe.data.video_writer import write_video
from tests.conftest import moving_square, remux, square_positions


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The same 40 frames in many files; the square's column is the frame's number."""
    folder, frames = tmp_path_factory.mktemp("videos"), moving_square(40, width=64)
    write_video(folder / "whole.mp4", frames, fps=25)
    write_video(folder / "plain.avi", frames, fps=25, codec="mpeg4", options={"bf": "0"})
    write_video(folder / "reordered.avi", frames, fps=25, codec="mpeg4", options={"bf": "2"})
    remux(folder / "whole.mp4", folder / "whole.mkv")
    remux(folder / "whole.mp4", folder / "whole.ts")
    remux(folder / "whole.mp4", folder / "cut.mp4", hide=17)
    remux(folder / "whole.mp4", folder / "headless.mp4", drop=5)
    return folder


@pytest.mark.parametrize("name", ["whole.mp4", "plain.avi", "reordered.avi", "whole.mkv", "whole.ts"])
def test_frames_come_in_the_order_asked_for(videos, name):
    video = PyAvReader()(str(videos / name))
    assert len(video) == 40
    asked = [31, 0, 39, 7, 31, 18]
    frames = video.frames(asked)
    assert frames.shape == (6, 3, 32, 64)
    assert frames.dtype == torch.uint8
    assert square_positions(frames) == asked


def test_a_cut_file_has_the_frames_that_it_shows(videos):
    video = PyAvReader()(str(videos / "cut.mp4"))
    assert len(video) == 23
    assert square_positions(video.frames([0, 10, 22])) == [17, 27, 39]


def test_a_file_without_its_first_key_frame_begins_at_the_next(videos):
    video = PyAvReader()(str(videos / "headless.mp4"))
    assert len(video) == 28
    assert square_positions(video.frames([0, 9, 27])) == [12, 21, 39]


def test_a_torn_file_gives_what_is_there_and_names_what_is_not(videos, tmp_path):
    whole = (videos / "whole.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    video = PyAvReader()(str(tmp_path / "torn.mkv"))
    assert 5 < len(video) < 40
    assert square_positions(video.frames([3])) == [3]
    with pytest.raises(DecodeError, match=rf"frames \[39\] of .*torn.mkv: expected numbers from 0 to {len(video) - 1}"):
        video.frames([39])


def test_pictures_of_two_sizes_are_named(videos, tmp_path):
    write_video(tmp_path / "large.mp4", moving_square(20, height=48, width=64), fps=25)
    remux(tmp_path / "large.mp4", tmp_path / "large.ts")
    (tmp_path / "both.ts").write_bytes((videos / "whole.ts").read_bytes() + (tmp_path / "large.ts").read_bytes())
    video = PyAvReader()(str(tmp_path / "both.ts"))
    assert video.frames([0, 9]).shape == (2, 3, 32, 64)
    with pytest.raises(DecodeError, match=r"both\.ts: expected pictures of one size, got 64x32 and 64x48"):
        video.frames([0, len(video) - 1])


def test_files_without_video_are_named(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 8000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    for open_file in (PyAvReader(), file_facts):
        with pytest.raises(DecodeError, match="could not open .*text.mp4"):
            open_file(str(tmp_path / "text.mp4"))
        with pytest.raises(DecodeError, match="could not open .*sound.mp4: expected a video stream"):
            open_file(str(tmp_path / "sound.mp4"))
        with pytest.raises(DecodeError, match="could not open .*gone.mp4"):
            open_file(str(tmp_path / "gone.mp4"))


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="num_threads: expected at least 1, got 0"):
        PyAvReader(0)


def test_the_head_of_a_file_says_what_readers_would_get_wrong(videos, tmp_path):
    whole = file_facts(str(videos / "whole.mp4"))
    assert whole[:2] == ("h264", (64, 32))
    assert whole.is_indexed
    assert whole.starts_with_key
    assert not whole.is_cut
    assert not whole.has_guessed_times
    assert file_facts(str(videos / "cut.mp4")).is_cut
    assert not file_facts(str(videos / "headless.mp4")).starts_with_key
    assert file_facts(str(videos / "reordered.avi")).has_guessed_times
    assert not file_facts(str(videos / "plain.avi")).has_guessed_times
    assert not file_facts(str(videos / "whole.mkv")).is_indexed
    remux(videos / "whole.mp4", videos / "again.mp4")
    content = (videos / "again.mp4").read_bytes()
    (tmp_path / "torn.mp4").write_bytes(content[: len(content) * 2 // 3])
    assert file_facts(str(videos / "again.mp4")).is_indexed
    assert not file_facts(str(tmp_path / "torn.mp4")).is_indexed
