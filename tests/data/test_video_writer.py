import av
import decord
import numpy as np
import pytest

from tbe.data.video_writer import write_video


def moving_gradient(num_frames=10, height=32, width=64):
    column = np.arange(width)[None, None, :, None]
    row = np.arange(height)[None, :, None, None]
    time = np.arange(num_frames)[:, None, None, None]
    return (40 + 2 * column + row + 3 * time + np.array([0, 10, 20])).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("name", "codec", "options"), [("a.mp4", "libx264", {"crf": "10"}), ("a.avi", "mpeg4", None)])
def test_a_written_video_is_read_back_nearly_unchanged(tmp_path, name, codec, options):
    frames = moving_gradient()
    write_video(tmp_path / name, frames, fps=12.5, codec=codec, options=options)
    reader = decord.VideoReader(str(tmp_path / name))
    read = np.stack([reader[index].asnumpy() for index in range(len(reader))])
    assert read.shape == frames.shape
    assert reader.get_avg_fps() == 12.5
    assert np.abs(read.astype(int) - frames).mean() < 5


def test_key_frames_are_at_most_gop_frames_apart(tmp_path):
    write_video(tmp_path / "a.mp4", moving_gradient(num_frames=20), fps=25, gop=4)
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert len(keys) >= 5
    assert np.diff(keys).max() <= 4


def test_the_same_frames_make_the_same_bytes_without_the_macroblock_tree(tmp_path):
    frames = moving_gradient(num_frames=24)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, fps=25, options={"x264-params": "mbtree=0"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(av.error.FFmpegError):
        write_video(path, moving_gradient(), fps=25, options={"x264-params": "rc-lookahead=0", "profile": "nonsense"})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_created(tmp_path):
    write_video(tmp_path / "class" / "deep" / "a.mp4", moving_gradient(num_frames=2), fps=25)
    assert (tmp_path / "class" / "deep" / "a.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("name", "frames", "fps", "expected"),
    [
        ("a.gif", moving_gradient(), 25, r"a\.gif: expected a suffix out of \.mp4, .*got '\.gif'"),
        ("a.mp4", moving_gradient().astype(np.float32), 25, r"expected frames \(T, H, W, 3\) uint8, got .* float32"),
        ("a.mp4", moving_gradient()[0], 25, r"expected frames .* got \(32, 64, 3\)"),
        ("a.mp4", moving_gradient()[:0], 25, r"expected frames .* got \(0, 32, 64, 3\)"),
        ("a.mp4", moving_gradient(width=33), 25, "expected an even height and width, got 32 x 33"),
        ("a.mp4", moving_gradient(), 0, "expected fps > 0, got 0"),
    ],
)
def test_frames_that_cannot_be_encoded_are_refused(tmp_path, name, frames, fps, expected):
    with pytest.raises(ValueError, match=expected):
        write_video(tmp_path / name, frames, fps)
    assert not list(tmp_path.iterdir())
