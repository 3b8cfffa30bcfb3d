"""Videos with a display matrix, as phones and dash cams store them: all eight orientations."""

from contextlib import suppress

import av
import numpy as np
import pytest
from av.filter import Graph

from tbe.data.orientation import is_mirrored
from tbe.data.readers import DecodeError, DecordReader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.stream_info import file_facts
from tbe.data.readers.torchcodec_reader import TorchCodecReader
from tbe.data.sources.actor_masks import picture_size
from tbe.data.video_writer import write_video
from tbe.prepare.common.decoding import opened_video
from tests.prepare.videos import MATRICES, with_matrix

# What FFmpeg's filters do to a picture with such a matrix, as its own `autorotate` chooses them.
FILTERS = {
    "upright": [],
    "right": [("transpose", "clock")],
    "half": [("hflip", None), ("vflip", None)],
    "left": [("transpose", "cclock")],
    "mirrored": [("hflip", None)],
    "mirrored_right": [("transpose", "clock_flip")],
    "mirrored_half": [("vflip", None)],
    "mirrored_left": [("transpose", "cclock_flip")],
}
ALL = list(MATRICES)
MIRRORED = [name for name in ALL if name.startswith("mirrored")]


def quadrants(num_frames=4, height=48, width=64):
    """Frames with a different color in each corner."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[:, : height // 2, : width // 2] = (250, 20, 20)
    frames[:, : height // 2, width // 2 :] = (20, 250, 20)
    frames[:, height // 2 :, : width // 2] = (20, 20, 250)
    return frames


@pytest.fixture(scope="module", params=["libx264", "mpeg4"])
def lying(request, tmp_path_factory):
    """lying(name) is a video with this orientation."""
    folder = tmp_path_factory.mktemp(request.param)
    write_video(folder / "whole.mp4", quadrants(), fps=25, codec=request.param)
    content = (folder / "whole.mp4").read_bytes()
    for name, matrix in MATRICES.items():
        (folder / f"{name}.mp4").write_bytes(with_matrix(content, matrix))
    return lambda name: str(folder / f"{name}.mp4")


def shown_by_ffmpeg(path, filters):
    """Returns the first frame (H, W, 3) after these FFmpeg filters."""
    with av.open(path) as container:
        frame, graph = next(container.decode(video=0)), Graph()
        nodes = [graph.add_buffer(template=container.streams.video[0])]
        nodes += [graph.add(name, setting) for name, setting in filters]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        graph.vpush(frame)
        return graph.vpull().to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", ALL)
def test_frames_are_oriented_as_ffmpeg_does(lying, name):
    expected = shown_by_ffmpeg(lying(name), FILTERS[name])
    for reader in (AutoReader("cpu"), PyAvReader()):
        read = reader(lying(name)).frames([0])[0].permute(1, 2, 0).numpy()
        assert np.array_equal(read, expected)
    with opened_video(lying(name)) as source:  # of `transcode` and `frames`
        assert np.array_equal(next(source.frames).to_ndarray(format="rgb24"), expected)
    assert picture_size(lying(name)) == expected.shape[:2]


def test_the_eight_orientations_differ(lying):
    assert len({shown_by_ffmpeg(lying(name), FILTERS[name]).tobytes() for name in ALL}) == 8


@pytest.mark.parametrize("name", ALL)
def test_readers_that_only_rotate_refuse_mirrored_videos(lying, name):
    assert is_mirrored(lying(name)) == file_facts(lying(name)).is_mirrored == (name in MIRRORED)
    readers = [DecordReader("cpu")]
    with suppress(ValueError):  # not installed
        readers.append(TorchCodecReader())
    for reader in readers:
        if name in MIRRORED:
            with pytest.raises(DecodeError, match=r"could not open .*mirrored.*Set reader=auto or reader=pyav$"):
                reader(lying(name))
        else:
            assert reader(lying(name)).frames([0]).shape[2:] == picture_size(lying(name))


def test_files_without_a_matrix_are_not_mirrored(tmp_path):
    for name in ("clip.avi", "clip.mkv"):
        write_video(tmp_path / name, quadrants(), fps=25, codec="mpeg4")
        assert not is_mirrored(tmp_path / name)
    for content in (b"", b"\0\0\0\x08free" * 3, b"\0\0\0\0moov", b"\0\0\0\x01moov\0", b"\0\0\0\x02moovtrak" * 9):
        (tmp_path / "odd.mp4").write_bytes(content)
        assert not is_mirrored(tmp_path / "odd.mp4")


def test_large_frames_are_downscaled_and_rotated(tmp_path):
    write_video(tmp_path / "whole.mp4", quadrants(1, 480, 640), fps=25)
    content = with_matrix((tmp_path / "whole.mp4").read_bytes(), MATRICES["mirrored_right"])
    (tmp_path / "lying.mp4").write_bytes(content)
    whole, small = (reader(str(tmp_path / "lying.mp4")) for reader in (PyAvReader(), PyAvReader(short_side=48)))
    corners = [video.frames([0])[0][:, [4, 4, -4, -4], [4, -4, 4, -4]].float() for video in (whole, small)]
    assert small.frames([0]).shape == (1, 3, 64, 48)
    assert (corners[0] - corners[1]).abs().max() < 8


def test_unusual_files_are_shown_like_the_plain_one_mirrored(odd_videos):
    plain = PyAvReader()(str(odd_videos / "mirror_plain.mp4")).frames([0, 7])
    shown = {
        "hflip": plain.flip(3),
        "vflip": plain.flip(2),
        "turned": plain.rot90(-1, (2, 3)),
        "transpose": plain.transpose(2, 3),
    }
    for name, expected in shown.items():
        assert AutoReader("cpu")(str(odd_videos / f"mirror_{name}.mp4")).frames([0, 7]).equal(expected), name
    reflected = AutoReader("cpu")(str(odd_videos / "sample_rotate_and_reflect.mp4"))
    assert reflected.frames([0]).shape == (1, 3, 1080, 720)
