"""Only the packets that pictures need are decoded, and the pictures are those of decoding everything."""

from random import Random

import av
import numpy as np
import pytest

from tbe.data.readers.selective_decoding import FAR, NeededPackets, PacketFacts
from tbe.data.video_writer import write_video
from tests.conftest import moving_square

LENGTH, GOP = 100, 12
B_PICTURES = {"bf": "3", "b_strategy": "0"}
KINDS = {
    "h264.mp4": ("libx264", {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"}),
    "open_gop.mp4": ("libx264", {"x264-params": "bframes=3:b-adapt=0:open-gop=1"}),
    "no_b_pictures.mp4": ("libx264", {"x264-params": "bframes=0"}),
    "mpeg4.mkv": ("mpeg4", B_PICTURES),
    "mpeg2.mkv": ("mpeg2video", B_PICTURES),
    "hevc.mp4": ("libx265", {"x265-params": "bframes=3:log-level=none"}),
    "vp9.mkv": ("libvpx-vp9", {"deadline": "realtime"}),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos of many key frames, in several codecs, where this FFmpeg writes them."""
    folder = tmp_path_factory.mktemp("needed")
    noise = np.random.default_rng(0).integers(0, 40, (LENGTH, 32, 64, 3), dtype=np.uint8)
    frames = np.tile(moving_square(50, width=64), (2, 1, 1, 1)) // 2 + noise
    for name, (codec, options) in KINDS.items():
        if codec in av.codecs_available:
            write_video(folder / name, frames, fps=25, codec=codec, options=options, gop=GOP)
    return folder


def packets_of(file):
    with av.open(str(file)) as container:
        return [PacketFacts.of(packet) for packet in container.demux(video=0) if packet.size]


def everything(file):
    """Each picture by its time, of decoding from the beginning to the end."""
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return {frame.pts: frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}


def found(file, times):
    """The pictures at these times."""
    with av.open(str(file)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = NeededPackets(packets_of(file)).frames(container, times)
        return {frame.pts: frame.to_ndarray(format="rgb24") for frame in frames}


def number_decoded(file, times):
    """How many pictures are decoded for those at these times."""
    with av.open(str(file)) as container:
        return sum(1 for _ in NeededPackets(packets_of(file))._decoded(container, times))


@pytest.mark.parametrize("name", KINDS)
def test_pictures_are_those_of_decoding_everything(videos, name):
    if not (videos / name).exists():
        pytest.skip(f"this FFmpeg does not write {KINDS[name][0]}")
    expected, chance = everything(videos / name), Random(name)
    assert len(expected) == LENGTH
    times = sorted(expected)
    strided = [times[start::stride][:16] for start, stride in ((5, 1), (0, 2), (40, 4), (5, 8))]
    scattered = [sorted(chance.sample(times, count)) for count in (1, 1, 2, 5, 20)]
    for wanted in [*strided, *scattered, [times[0], times[-1]]]:
        pictures = found(videos / name, wanted)
        assert list(pictures) == wanted
        assert all(np.array_equal(pictures[time], expected[time]) for time in wanted)


@pytest.mark.parametrize(("name", "share"), [("h264.mp4", 0.75), ("mpeg4.mkv", 0.6), ("no_b_pictures.mp4", 1.0)])
def test_pictures_that_no_other_one_uses_are_left_out(videos, name, share):
    times = sorted(packet.pts for packet in packets_of(videos / name))
    assert 15 <= number_decoded(videos / name, times[GOP : GOP + 60 : 4]) <= share * 60


def test_what_lies_between_is_jumped_over(videos):
    file = videos / "no_b_pictures.mp4"
    packets = packets_of(file)
    times = [packet.pts for packet in packets]
    keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
    last = keys[-1]
    assert last > FAR
    for wanted in ([last], [0, last], [keys[2] + 1, last - 1]):  # at a key frame, and at the end of a stretch of them
        needed = sum(place - max(key for key in keys if key <= place) + 1 for place in wanted)
        assert number_decoded(file, [times[place] for place in wanted]) == needed


def test_a_file_that_ends_early_gives_what_comes_before(videos, tmp_path):
    packets = packets_of(videos / "mpeg4.mkv")
    times = sorted(packet.pts for packet in packets)
    content = (videos / "mpeg4.mkv").read_bytes()
    (tmp_path / "torn.mkv").write_bytes(content[: len(content) // 2])
    with av.open(str(tmp_path / "torn.mkv")) as container:
        frames = NeededPackets(packets).frames(container, [times[3], times[-2]])
        assert [frame.pts for frame in frames] == [times[3]]


def facts(pts, is_keyframe=False, **changes):
    return PacketFacts(pts, pts, 100, is_keyframe, False, False)._replace(**changes)


def test_a_stretch_begins_at_a_key_frame_that_the_file_has_before_the_picture():
    """A hidden beginning of a second edit may have earlier times than what the file has before it."""
    packets = [facts(0, True), facts(10), facts(20), facts(30), facts(15, True), facts(25), facts(35)]
    needed = NeededPackets(packets)
    assert needed.is_known
    assert needed._spans([20], further=0) == [(0, 2)]
    assert needed._spans([25], further=0) == [(4, 5)]
    assert needed._spans([20, 25, 30], further=0) == [(0, 5)]
    assert needed._spans([35], further=1) == [(4, 6)]


def test_packets_that_cannot_be_told_apart_or_change_the_decoder_are_not_chosen_from():
    assert not NeededPackets([facts(0, True), facts(0)]).is_known
    assert not NeededPackets([facts(0, True), facts(None)]).is_known
    assert not NeededPackets([facts(0, True), facts(1, True, starts_anew=True)]).is_known
    assert NeededPackets([facts(0, True, starts_anew=True), facts(1)]).is_known
