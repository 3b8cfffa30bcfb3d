"""Odd video files through `reader: auto`: the pictures that were written, or one error that names the file."""

import os
import struct
import sys

import av
import numpy as np
import pytest
import torch

from tbe.data.clip_samplers import RandomClip
from tbe.data.dataset import VideoDataset
from tbe.data.epoch_samplers import EpochSampler
from tbe.data.fault_tolerance.loader import FaultTolerantDataset, FaultTolerantLoader, ReplayedSampler
from tbe.data.fault_tolerance.quarantine import Quarantine
from tbe.data.readers import DecodeError
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.sources.records import make_records
from tbe.data.video_writer import write_video
from tests.conftest import remux

NUM_FRAMES = 24
MIN_PSNR = 35.0  # dB; a frame and the next are 24 dB apart
FINE = {"crf": "8"}  # of x264
COARSE = {"flags": "+qscale", "global_quality": "236"}  # of MPEG-4: a quantizer of 2
# tkhd matrices (a, b, c, d) of pictures to be shown turned clockwise.
MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def waves(num_frames=NUM_FRAMES, height=48, width=64):
    """Smooth colors that move by a 24th of their period a frame, uint8 (T, H, W, 3)."""
    time, y, x = np.ogrid[:num_frames, :height, :width]
    phases = 2 * np.pi * (time / NUM_FRAMES + x / width + 0.5 * y / height)
    return np.stack([128 + 90 * np.sin(phases + shift) for shift in (0, 0.7, 1.4)], axis=-1).astype(np.uint8)


def psnr(read, written):
    """Of the worst picture, in dB; (n, C, H, W) against (n, H, W, C)."""
    assert read.dtype == torch.uint8
    assert read.shape[1:] == (3, *written.shape[1:3])
    error = (read.permute(0, 2, 3, 1).numpy().astype(float) - written) ** 2
    return 10 * np.log10(255**2 / error.reshape(len(error), -1).mean(axis=1).clip(1e-3)).min()


def assert_shows(path, written, asked=(17, 0, 23, 9, 9)):
    video = AutoReader("cpu")(str(path))
    assert len(video) == len(written)
    asked = [index for index in asked if index < len(written)]
    assert psnr(video.frames(asked), written[asked]) >= MIN_PSNR


def encoded(path, frames, codec, times=None, pixels="yuv420p", options=None, title=None):
    """Writes frames with what `write_video` leaves out: times of their own, other pixels, a title."""
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": title} if title else {})
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.gop_size, stream.codec_context.thread_count = 12, 1
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = 1 / stream.codec_context.framerate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        container.mux([*stream.encode(sound), *stream.encode(None)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One file to make others of: H.264 in mp4, a key frame every 12 frames."""
    file = tmp_path_factory.mktemp("odd") / "whole.mp4"
    write_video(file, waves(), fps=25, options=FINE)
    return file


def test_frames_are_so_unlike_that_the_next_one_would_be_noticed():
    frames = waves()
    read = torch.from_numpy(np.roll(frames, 1, axis=0)).permute(0, 3, 1, 2)
    assert psnr(read, frames) < MIN_PSNR - 10


@pytest.mark.parametrize("degrees", list(MATRICES))
def test_a_turned_video_stands_upright(tmp_path, whole, degrees):
    content = bytearray(whole.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    assert content[start : start + 4] == b"\0\1\0\0"  # 1 in 16.16, of the matrix that turns nothing
    a, b, c, d = (part << 16 for part in MATRICES[degrees])
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    assert_shows(tmp_path / "turned.mp4", np.rot90(waves(), -degrees // 90, axes=(1, 2)))


@pytest.mark.parametrize("name", ["ten.mp4", "ten.mkv"])
def test_ten_bits_become_eight(tmp_path, name):
    encoded(tmp_path / name, waves(), "libx264", pixels="yuv420p10le", options=FINE)
    assert_shows(tmp_path / name, waves())


@pytest.mark.parametrize("codec", ["libsvtav1", "libaom-av1", "libx265", "libvpx-vp9"])
def test_other_codecs_are_read(tmp_path, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no encoder {codec} here")
    quality = {"crf": "10", **({"preset": "10"} if codec == "libsvtav1" else {"cpu-used": "8", "b:v": "0"})}
    quality = {"crf": "8", "x265-params": "log-level=none"} if codec == "libx265" else quality
    encoded(tmp_path / "other.mp4", waves(height=64), codec, options=quality)
    assert_shows(tmp_path / "other.mp4", waves(height=64))


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_frames_of_a_variable_rate_are_counted_not_timed(tmp_path, name):
    times = np.cumsum(np.random.default_rng(0).integers(1, 9, NUM_FRAMES)).tolist()
    encoded(tmp_path / name, waves(), "libx264", times, options=FINE)
    with av.open(str(tmp_path / name)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert len({round(step, 3) for step in np.diff(shown)}) > 4  # it is one
    assert_shows(tmp_path / name, waves())


@pytest.mark.parametrize("width", [48, 72])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_narrow_pictures_keep_their_rows(tmp_path, width, codec):
    options = {"libx264": FINE, "mpeg4": COARSE}[codec]
    write_video(tmp_path / "narrow.mp4", waves(width=width), fps=25, codec=codec, options=options)
    assert_shows(tmp_path / "narrow.mp4", waves(width=width))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_a_name_may_be_of_any_bytes(tmp_path, whole):
    file = tmp_path / os.fsdecode(b"caf\xe9 \xff.mp4")
    file.write_bytes(whole.read_bytes())
    assert_shows(file, waves())


@pytest.mark.parametrize("name", ["told.mp4", "told.mkv", "told.avi"])
def test_metadata_may_be_of_any_bytes(tmp_path, name):
    codec, options = ("mpeg4", COARSE) if name.endswith("avi") else ("libx264", FINE)
    encoded(tmp_path / name, waves(), codec, options=options, title="a title that is text")
    content = (tmp_path / name).read_bytes()
    assert content.count(b"a title that") == 1
    (tmp_path / name).write_bytes(content.replace(b"a title that", b"\xe9\xff\xfe\x80 \xc3\x28 \xa0\xa1\xed\xa0"))
    assert_shows(tmp_path / name, waves())


def test_one_frame_is_a_video(tmp_path):
    write_video(tmp_path / "one.mp4", waves(1), fps=25, options=FINE)
    assert_shows(tmp_path / "one.mp4", waves(1))


@pytest.mark.parametrize("name", ["matroska.mp4", "mpeg.avi", "no suffix"])
def test_a_suffix_decides_nothing(tmp_path, whole, name):
    remux(whole, tmp_path / "matroska.mkv")
    (tmp_path / name).write_bytes((tmp_path / "matroska.mkv" if "matroska" in name else whole).read_bytes())
    assert_shows(tmp_path / name, waves())


@pytest.mark.parametrize("name", ["headless.mp4", "headless.mkv"])
def test_without_its_first_key_frame_a_video_begins_at_the_next(tmp_path, whole, name):
    remux(whole, tmp_path / name, drop=1)
    assert_shows(tmp_path / name, waves()[12:], asked=(0, 11, 5))


def test_of_a_video_that_promises_more_frames_than_it_has_those_are_read(tmp_path, whole):
    remux(whole, tmp_path / "promises.mp4")  # its index comes first
    content = (tmp_path / "promises.mp4").read_bytes()
    (tmp_path / "promises.mp4").write_bytes(content[: len(content) * 2 // 3])
    video = AutoReader("cpu")(str(tmp_path / "promises.mp4"))
    assert psnr(video.frames([3, 0]), waves()[[3, 0]]) >= MIN_PSNR
    with pytest.raises(DecodeError, match="could not decode frames .*promises.mp4"):
        video.frames([23])


def refused(folder):
    """Files that are no videos."""
    write_sound(folder / "sound.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.avi").write_text("<html>this video is not available\n</html>")
    (folder / "picture.mkv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "head.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41")
    return ["sound.mp4", "empty.mp4", "text.avi", "picture.mkv", "head.mp4"]


def test_what_is_no_video_is_one_error_and_in_training_one_line_of_the_quarantine(tmp_path, whole):
    names = refused(tmp_path)
    for name in names:
        with pytest.raises(DecodeError, match=rf"^could not open .*{name}: .*") as error:
            AutoReader("cpu")(str(tmp_path / name))
        assert "\n" not in str(error.value)
    (tmp_path / "whole.mp4").write_bytes(whole.read_bytes())
    records = make_records(tmp_path, [*names, "whole.mp4"], [0] * 6, [0] * 6)
    videos = FaultTolerantDataset(
        VideoDataset(records, AutoReader("cpu"), RandomClip(4, 2)), 20, True, reader="AutoReader"
    )
    sampler = ReplayedSampler(EpochSampler(6, seed=0, batch_size=2))
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    for batch in FaultTolerantLoader(videos, batch_size=2, sampler=sampler, collate_fn=videos.collate):
        assert batch["index"].tolist() == [5, 5]  # the one that is one stands in for all
        quarantine.add(batch["faults"])
    assert quarantine.paths() == {str(tmp_path / name) for name in names}
    rows = (tmp_path / "quarantine.csv").read_text().splitlines()[1:]
    assert len(rows) == len(names)
    tried = {row.split(",")[0].rpartition("/")[2]: row.rpartition(",")[2] for row in rows}
    assert tried["text.avi"] == "AutoReader"  # its head says it
    assert tried["picture.mkv"] == "PyAvReader"
