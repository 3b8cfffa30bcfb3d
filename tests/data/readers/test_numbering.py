"""Frames are numbered as a player shows them, whatever the codec and container: alone, in any choice, and in number."""

import re
from random import Random

import av
import numpy as np
import pytest
import torch

import tbe.prepare.__main__ as prepare
from tbe.data.readers import DecodeError
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.records import read_list, write_list
from tests.conftest import remux

NUM_FRAMES, GOP = 30, 8
B_PICTURES = {"bf": "2", "b_strategy": "0"}
HEVC = "bframes=3:b-adapt=0:log-level=none:pools=none:frame-threads=1"
HIDDEN = {"deadline": "good", "cpu-used": "4", "auto-alt-ref": "1", "lag-in-frames": "12"}
KINDS = {
    "h264.mp4": ("libx264", {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"}),
    "h264.avi": ("libx264", {"x264-params": "bframes=3:b-adapt=0"}),
    "h264.ts": ("libx264", {"x264-params": "bframes=3:b-adapt=0"}),
    "slices.mkv": ("libx264", {"x264-params": "slices=4"}),
    "interlaced.mp4": ("libx264", {"x264-params": "interlaced=1:bframes=2"}),
    "open_gop.mov": ("libx264", {"x264-params": "bframes=3:b-adapt=0:open-gop=1"}),
    "hevc.mp4": ("libx265", {"x265-params": f"{HEVC}:open-gop=0"}),
    "hevc_open_gop.mp4": ("libx265", {"x265-params": f"{HEVC}:open-gop=1"}),
    "mpeg4.mp4": ("mpeg4", B_PICTURES),
    "mpeg4.avi": ("mpeg4", B_PICTURES),
    "mpeg4_plain.avi": ("mpeg4", {}),
    "mpeg2.mkv": ("mpeg2video", B_PICTURES),
    "mpeg2.ts": ("mpeg2video", B_PICTURES),
    "mpeg1.mkv": ("mpeg1video", B_PICTURES),
    "vp8.webm": ("libvpx", HIDDEN),
    "vp8.avi": ("libvpx", HIDDEN),
    "vp9.webm": ("libvpx-vp9", HIDDEN),
    "vp9.mp4": ("libvpx-vp9", HIDDEN),
    "av1.mp4": ("libsvtav1", {"preset": "10"}),
    "av1.mkv": ("libsvtav1", {"preset": "10"}),
    "mjpeg.avi": ("mjpeg", {}),
    "ffv1.mkv": ("ffv1", {}),
    "prores.mov": ("prores_ks", {}),
    "png.mov": ("png", {}),
    "utvideo.avi": ("utvideo", {}),
    "wmv2.avi": ("wmv2", {}),
    "msmpeg4.avi": ("msmpeg4", {}),
    "flv1.avi": ("flv", {}),
}
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "png": "rgb24"}


def moving(num_frames=NUM_FRAMES, height=64, width=64):
    """Smooth colors that move, all frames different, uint8 (T, H, W, 3)."""
    time, y, x = np.ogrid[:num_frames, :height, :width]
    phases = 2 * np.pi * (time / num_frames + x / width + 0.5 * y / height)
    return np.stack([128 + 90 * np.sin(phases + shift) for shift in (0, 0.7, 1.4)], axis=-1).astype(np.uint8)


def written(path, codec, options, step=1, between=None):
    """Writes `moving()`, its frames `step` units of time apart; between(bytes) makes a packet to follow every fifth."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        frames = moving()
        stream.height, stream.width, stream.pix_fmt = 64, 64, PIXELS.get(codec, "yuv420p")
        stream.codec_context.gop_size, stream.codec_context.thread_count = GOP, 1
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number * step, 1 / stream.codec_context.framerate
            encoded = stream.encode(frame)
            content = [bytes(packet) for packet in encoded]
            container.mux(encoded)
            if between and number % 5 == 4:
                packet = av.Packet(between(content[-1]))
                packet.pts = packet.dts = number * step + 1
                packet.time_base, packet.stream = frame.time_base, stream
                container.mux(packet)
        container.mux(stream.encode(None))


def shown(path):
    """All frames of decoding the file once: uint8 (T, C, H, W)."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    return torch.stack(frames).movedim(-1, 1)


def assert_numbered_as_shown(path, expected=None, alone=None):
    """By all readers that the file is given to; `alone` of its frames are asked for alone, all where None."""
    expected, chance = shown(path) if expected is None else expected, Random(str(path.name))
    for open_video in (AutoReader("cpu"), PyAvReader()):
        video = open_video(str(path))
        assert len(video) == len(expected), open_video
        numbers = range(len(expected))
        choices = [[number] for number in (numbers if alone is None else chance.sample(numbers, alone))]
        choices += [chance.choices(numbers, k=count) for count in (2, 5, 12)]
        choices += [numbers[start::stride] for start, stride in ((0, 1), (1, 4), (3, 8))]
        for chosen in choices:
            assert torch.equal(video.frames(chosen), expected[list(chosen)]), (open_video, chosen)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """videos("vp8.webm") is a file of this kind, of `moving()`."""
    folder = tmp_path_factory.mktemp("numbering")

    def of(name):
        codec, options = KINDS[name]
        if codec not in av.codecs_available:
            pytest.skip(f"PyAV has no encoder {codec} here")
        if not (folder / name).exists():
            written(folder / name, codec, options)
        return folder / name

    return of


@pytest.mark.parametrize("name", KINDS)
def test_any_frame_alone_and_any_choice_are_those_of_decoding_the_whole_video(videos, name):
    path = videos(name)
    assert len(shown(path)) == NUM_FRAMES
    assert_numbered_as_shown(path)


def not_coded(before):
    """A picture of MPEG-4 that repeats the one before: P, no second more, one part of 25, nothing coded."""
    return bytes([0, 0, 1, 0xB6, 0b01010000, 0b11001111])


def hidden(before):
    """A picture of VP8 again, not to be shown."""
    return bytes([before[0] & ~0x10]) + before[1:]


def shows_again(before):
    """VP9's byte that shows the picture in the first place of those kept."""
    return bytes([0b10001000])


@pytest.mark.parametrize("name", ["hidden.webm", "hidden.avi", "hidden.mkv"])
def test_pictures_of_vp8_that_are_hidden_are_no_frames(tmp_path, name):
    written(tmp_path / name, "libvpx", {"deadline": "realtime", "lag-in-frames": "0"}, step=2, between=hidden)
    with av.open(str(tmp_path / name)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == NUM_FRAMES * 6 // 5
    assert len(shown(tmp_path / name)) == NUM_FRAMES
    assert_numbered_as_shown(tmp_path / name)


@pytest.mark.parametrize("name", ["again.webm", "again.mp4"])
def test_pictures_of_vp9_that_are_shown_again_by_a_byte_are_frames(tmp_path, name):
    written(tmp_path / name, "libvpx-vp9", {"deadline": "realtime", "lag-in-frames": "0"}, step=2, between=shows_again)
    assert len(shown(tmp_path / name)) == NUM_FRAMES * 6 // 5
    assert_numbered_as_shown(tmp_path / name)


@pytest.mark.parametrize("name", ["skips.avi", "skips.mp4", "skips.mkv"])
def test_pictures_of_mpeg4_that_are_not_coded_are_no_frames(tmp_path, name):
    written(tmp_path / name, "mpeg4", {}, step=2, between=not_coded)
    with av.open(str(tmp_path / name)) as container:
        assert sum(0 < packet.size <= 6 for packet in container.demux(video=0)) == NUM_FRAMES // 5
    assert len(shown(tmp_path / name)) - NUM_FRAMES in (0, 1)  # the last picture once more, by FFmpeg 6 and later
    assert_numbered_as_shown(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("h264.mp4", {"hide": 11}),
        ("h264.mp4", {"drop": 1}),
        ("open_gop.mov", {"drop": 1}),
        ("hevc.mp4", {"hide": 11}),
        ("hevc.mp4", {"drop": 3}),
        ("hevc_open_gop.mp4", {"drop": 8}),
        ("hevc_open_gop.mp4", {"drop": 9}),
        ("hevc_open_gop.mp4", {"hide": 11}),
        ("mpeg4.mp4", {"hide": 5}),
        ("mpeg4.mp4", {"drop": 2}),
        ("vp9.mp4", {"hide": 5}),
    ],
)
def test_of_a_video_that_was_cut_the_frames_are_numbered_that_are_shown(videos, tmp_path, name, change):
    for target in ("cut.mp4", "cut.mkv"):
        remux(videos(name), tmp_path / target, **change)
        assert 0 < len(shown(tmp_path / target)) <= NUM_FRAMES
        assert_numbered_as_shown(tmp_path / target)


def spoiled(path, target, numbers):
    """The file with packets whose first unit has an impossible length."""
    content = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for number in numbers:
            place = packets[number].pos
            content = content[:place] + b"\x7f\xff\xff\xff" + content[place + 4 :]
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4"])
def test_one_packet_that_no_decoder_takes_is_passed_over_and_two_are_damage(videos, tmp_path, name):
    for number in (NUM_FRAMES - 1, 12):
        path = spoiled(videos(name), tmp_path / "one.mp4", [number])
        video = PyAvReader()(str(path))
        assert len(video) == NUM_FRAMES - 1
        whole = video.frames(range(NUM_FRAMES - 1))
        for index in (0, 11, 13, NUM_FRAMES - 2):
            assert torch.equal(video.frames([index])[0], whole[index])
    spoiled(videos(name), tmp_path / "two.mp4", [12, 20])
    with pytest.raises(DecodeError, match=r"two\.mp4: expected decodable packets, got damaged ones"):
        PyAvReader()(str(tmp_path / "two.mp4"))


def test_a_torn_file_is_never_read_as_a_shorter_one(videos, tmp_path):
    remux(videos("h264.mp4"), tmp_path / "whole.mp4")  # what lists its packets comes first
    content, whole = (tmp_path / "whole.mp4").read_bytes(), shown(tmp_path / "whole.mp4")
    with av.open(str(tmp_path / "whole.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for end in (packets[20].pos, packets[20].pos + 9, packets[21].pos):
        (tmp_path / "torn.mp4").write_bytes(content[:end])
        video = AutoReader("cpu")(str(tmp_path / "torn.mp4"))
        assert len(video) == NUM_FRAMES
        assert torch.equal(video.frames(range(12)), whole[:12])
        with pytest.raises(DecodeError, match=r"torn\.mp4: it is torn, and has \d\d of the 30 frames that it lists"):
            video.frames([3, 25])


def test_transcode_and_frames_number_as_readers_do(videos, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("vp8.webm", "mpeg4.avi"):
        (tmp_path / "videos" / name).write_bytes(videos(name).read_bytes())
    written(tmp_path / "videos" / "skips.avi", "mpeg4", {}, step=2, between=not_coded)
    spoiled(videos("h264.mp4"), tmp_path / "videos" / "spoiled.mp4", [NUM_FRAMES - 1])
    names = ["mpeg4.avi", "skips.avi", "spoiled.mp4", "vp8.webm"]
    write_list(tmp_path / "list.txt", [(name, 0) for name in names])
    expected = [len(AutoReader("cpu")(str(tmp_path / "videos" / name))) for name in names]
    for command in ("transcode", "frames"):
        given = ["--root", tmp_path / "videos", "--list", tmp_path / "list.txt", "--out", tmp_path / command]
        prepare.main([command, *map(str, given), "--short-side", "32", "--workers", "1"])
        assert read_list(tmp_path / command / "list.txt", tmp_path).num_frames.tolist() == expected


# What FFmpeg 8 shows of them.
ODD = {
    "vp8.webm": 150,
    "vp9.webm": 150,
    "nvop.avi": 51,
    "nvop.mp4": 51,
    "promises_one_more.mp4": 49,
    "sample_with_invalid_nalu.mp4": 29,
    "roadtrip-vp92-10bit.webm": 72,
    "sample_edit_list_no_sync_frame_before_edit.mp4": 68,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_have_the_frames_that_are_shown(odd_videos, name):
    video = AutoReader("cpu")(str(odd_videos / name))
    assert len(video) == ODD[name]
    large = re.match("sample|promises", name)  # then a few will do
    last = len(video) - 1
    whole = video.frames(range(max(0, last - 2), last + 1)) if large else video.frames(range(len(video)))
    for index in [last] if large else [0, 10, 29, 30, 31, last]:
        assert torch.equal(video.frames([index])[0], whole[index - len(video)])


@pytest.mark.parametrize(
    "name", ["ucf101/v_ApplyEyeMakeup_g01_c01.avi", "hmdb51/TrumanShow_wave_f_nm_np1_fr_med_26.avi"]
)
def test_frames_that_are_packed_two_by_two_are_numbered_without_decoding_them(shared_clips, monkeypatch, name):
    monkeypatch.setattr("tbe.data.readers.pyav_reader._PyAvVideo._decoded_times", lambda self: pytest.fail("decoded"))
    assert len(PyAvReader()(str(shared_clips / name))) == len(shown(shared_clips / name))
