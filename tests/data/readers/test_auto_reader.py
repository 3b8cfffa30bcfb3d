import av
import pytest
import torch

from tbe.data.readers import DecodeError
from tbe.data.readers.auto_reader import AutoReader, _FirstRight
from tbe.data.readers.stream_info import FileFacts
from tbe.data.video_writer import write_video
from tests.conftest import moving_square, remux, square_positions

WHOLE = FileFacts("h264", (340, 256), True, True, False, False)


def names(readers):
    return [type(reader).__name__ for reader in readers]


@pytest.fixture
def reader(monkeypatch):
    """One that has all three, whatever is installed."""
    found = AutoReader("cpu")
    monkeypatch.setattr(found, "torchcodec", type("TorchCodecReader", (), {})())
    return found


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ["PyAvReader", "TorchCodecReader", "DecordReader"]),
        ({"pixels": (1920, 1080)}, ["PyAvReader", "TorchCodecReader", "DecordReader"]),
        ({"codec": "mpeg4"}, ["TorchCodecReader", "PyAvReader", "DecordReader"]),
        ({"codec": "hevc"}, ["TorchCodecReader", "PyAvReader"]),
        ({"is_cut": True}, ["PyAvReader", "TorchCodecReader"]),
        ({"is_cut": True, "codec": "mpeg4"}, ["TorchCodecReader", "PyAvReader"]),
        ({"has_guessed_times": True}, ["PyAvReader"]),
        ({"is_indexed": False}, ["PyAvReader"]),
        ({"may_hide": True, "codec": "mpeg4"}, ["PyAvReader"]),
        ({"is_mirrored": True}, ["PyAvReader"]),
        ({"starts_with_key": False}, ["PyAvReader"]),
    ],
)
def test_a_file_is_given_to_those_that_get_it_right(reader, facts, expected):
    assert names(reader.suited(WHOLE._replace(**facts))) == expected


def test_decord_comes_first_where_it_is_asked_to_decode_on_the_gpu(reader, monkeypatch):
    monkeypatch.setattr("tbe.data.readers.decord_reader._check_cuda", lambda gpu: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert AutoReader().worker_context("clip.mp4") is None
    assert names(reader.suited(WHOLE))[0] == "PyAvReader"
    reader.decord = AutoReader("cuda").decord
    assert names(reader.suited(WHOLE)) == ["DecordReader", "PyAvReader", "TorchCodecReader"]
    assert reader.worker_context("clip.mp4") == "spawn"


@pytest.mark.parametrize(
    ("pixels", "short_side", "first"),
    [
        ((1920, 1080), 128, "PyAvReader"),
        ((854, 480), 128, "PyAvReader"),
        ((480, 854), 128, "PyAvReader"),
        ((854, 480), 256, "TorchCodecReader"),
        ((640, 360), 40, "TorchCodecReader"),
    ],
)
def test_pyav_comes_first_where_it_reduces_pictures_while_it_decodes(reader, pixels, short_side, first):
    facts = WHOLE._replace(codec="mpeg4", pixels=pixels)
    assert names(reader.reducing(short_side).suited(facts))[0] == first
    assert names(reader.suited(facts))[0] == "TorchCodecReader"
    unsafe = facts._replace(is_indexed=False)
    assert names(reader.reducing(short_side).suited(unsafe)) == ["PyAvReader"]


def test_without_torchcodec_the_others_are_left(reader, monkeypatch):
    monkeypatch.setattr(reader, "torchcodec", None)
    assert names(reader.suited(WHOLE)) == ["PyAvReader", "DecordReader"]


@pytest.mark.parametrize("change", [{}, {"hide": 17}, {"drop": 5}])
def test_frames_are_right_whatever_the_file(tmp_path, change):
    write_video(tmp_path / "whole.mp4", moving_square(40, width=64), fps=25)
    remux(tmp_path / "whole.mp4", tmp_path / "changed.mp4", **change)
    video = AutoReader()(str(tmp_path / "changed.mp4"))
    first = 40 - len(video)
    assert first == {(): 0, ("hide",): 17, ("drop",): 12}[tuple(change)]
    assert square_positions(video.frames([0, 20, 9])) == [first, first + 20, first + 9]


@pytest.mark.parametrize("name", ["whole.mp4", "whole.mkv"])
def test_a_file_is_opened_once_for_its_first_frames(tmp_path, monkeypatch, name):
    write_video(tmp_path / "whole.mp4", moving_square(40, width=64), fps=25)
    remux(tmp_path / "whole.mp4", tmp_path / "whole.mkv")
    opened = []
    monkeypatch.setattr(
        av, "open", lambda *args, real=av.open, **settings: opened.append(args) or real(*args, **settings)
    )
    video = AutoReader("cpu")(str(tmp_path / name))
    assert (len(video), square_positions(video.frames([7, 0, 31]))) == (40, [7, 0, 31])
    assert len(opened) == 1
    assert square_positions(video.frames([2, 39])) == [2, 39]
    assert len(opened) == 2


class Fails:
    """Opens anything, or nothing; decodes nothing."""

    def __init__(self, opens):
        self.opens = opens

    def __call__(self, path):
        if not self.opens:
            raise DecodeError(f"could not open {path}")
        return self

    def __len__(self):
        return 3

    def frames(self, indices):
        raise DecodeError(f"could not decode {indices}")


class Works(Fails):
    def frames(self, indices):
        return list(indices)


def test_what_fails_in_one_reader_is_tried_in_the_next():
    video = _FirstRight("clip.mp4", [Fails(opens=False), Fails(opens=True), Fails(opens=False), Works(opens=True)])
    assert len(video) == 3
    assert video.frames([2, 1]) == [2, 1]
    assert video.frames([0]) == [0]


class CountsMore(Works):
    def __len__(self):
        return 4


def test_no_reader_goes_on_in_the_numbering_of_another():
    with pytest.raises(
        DecodeError, match=r"could not decode \[0\]; Fails counts 3 frames of it, CountsMore 4"
    ) as error:
        _FirstRight("clip.mp4", [Fails(opens=True), CountsMore(opens=True)]).frames([0])
    assert error.value.readers == "Fails CountsMore"
    video = _FirstRight("clip.mp4", [Fails(opens=False), CountsMore(opens=True)])  # it never told a length
    assert len(video) == 4
    assert video.frames([3]) == [3]


def test_what_fails_in_all_readers_is_said_with_their_names():
    with pytest.raises(DecodeError, match="could not open clip.mp4") as error:
        _FirstRight("clip.mp4", [Fails(opens=False), Works(opens=False)])
    assert error.value.readers == "Fails Works"
    with pytest.raises(DecodeError, match="could not decode") as error:
        _FirstRight("clip.mp4", [Fails(opens=True), Fails(opens=True)]).frames([0])
    assert error.value.readers == "Fails Fails"


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DecodeError, match="could not open .*text.mp4"):
        AutoReader()(str(tmp_path / "text.mp4"))
