import os
import pickle
import sys
from pathlib import Path

import decord
import numpy as np
import pytest
import torch
from torchvision.io import write_jpeg, write_png

from tbe.config import build, plain
from tbe.data.readers import DecodeError, DecordReader, FrameFolderReader, auto_reader, pyav_reader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.decord_reader import _check_cuda
from tbe.data.readers.memory_reader import MemoryReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.readers.stream_info import shown_stream
from tbe.data.readers.torchcodec_reader import TorchCodecReader
from tbe.data.video_writer import write_video
from tests.conftest import composed, moving_square


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    file = tmp_path_factory.mktemp("readers") / "clip.mp4"
    write_video(file, moving_square(), fps=25)
    return str(file)


def square_position(frame):
    """The first bright column of a frame (C, H, W)."""
    return int((frame[:, 14].float().mean(dim=0) > 200).float().argmax())


def test_frames_come_in_the_order_asked_for(video):
    reader = DecordReader("cpu")(video)
    assert len(reader) == 20
    frames = reader.frames([7, 0, 7, 19])
    assert frames.shape == (4, 3, 32, 40)
    assert frames.dtype == torch.uint8
    assert [square_position(frame) for frame in frames] == [7, 0, 7, 19]


def test_the_number_of_threads_reaches_each_decoder_alone_and_behind_auto(video, monkeypatch, tmp_path):
    asked, open_by_decord, by_time = [], decord.VideoReader, pyav_reader._PyAvVideo._by_time

    def by_decord(*settings, num_threads, **more):
        asked.append(num_threads)
        return open_by_decord(*settings, num_threads=num_threads, **more)

    def by_pyav(opened, container, wanted):
        asked.append(shown_stream(container).codec_context.thread_count)
        return by_time(opened, container, wanted)

    def by_torchcodec(file, device, num_ffmpeg_threads):
        asked.append(num_ffmpeg_threads)
        return [file]

    monkeypatch.setattr(decord, "VideoReader", by_decord)
    monkeypatch.setattr(pyav_reader._PyAvVideo, "_by_time", by_pyav)
    monkeypatch.setattr("tbe.data.readers.torchcodec_reader._decoder", lambda: by_torchcodec)
    monkeypatch.setattr(auto_reader, "_torchcodec", lambda number: TorchCodecReader("cpu", number))
    auto = build(plain(composed("train", "reader=auto", "reader.num_threads=3", run_dir=tmp_path))["reader"])
    for reader in (PyAvReader(2), auto.pyav, auto.reducing(8).pyav):
        reader(video).frames([3])
    for reader in (DecordReader("cpu", 2), auto.decord, TorchCodecReader("cpu", 2), auto.torchcodec):
        reader(video)
    assert asked == [2, 3, 3, 2, 3, 2, 3]


def test_a_file_that_is_no_video_is_named(tmp_path):
    file = tmp_path / "broken.mp4"
    file.write_bytes(b"no video" * 100)
    with pytest.raises(DecodeError, match=r"could not open .*broken.mp4"):
        DecordReader("cpu")(str(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DecodeError, match=r"could not open .*gone.mp4"):
        DecordReader("cpu")(str(tmp_path / "gone.mp4"))


def test_frames_beyond_the_end_are_refused(video):
    with pytest.raises(DecodeError, match=r"could not decode frames \[99\] of .*clip.mp4"):
        DecordReader("cpu")(video).frames([99])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_a_name_that_is_no_utf8_is_read(tmp_path, video):
    file = tmp_path / os.fsdecode(b"\xe9.mp4")
    file.write_bytes(Path(video).read_bytes())
    assert square_position(DecordReader("cpu")(str(file)).frames([7])[0]) == 7
    with pytest.raises(DecodeError, match="could not open"):
        DecordReader("cpu")(str(tmp_path / os.fsdecode(b"\xff.mp4")))


@pytest.mark.parametrize("width", [24, 40, 48, 72])
def test_widths_that_decord_pads_are_read_right(tmp_path, width):
    ramp = np.linspace(0, 255, width).astype(np.uint8) // 3 + np.arange(32, dtype=np.uint8)[:, None] * 4
    frames = np.stack([np.repeat(ramp[..., None] + number, 3, axis=2) for number in range(8)]).astype(np.uint8)
    write_video(tmp_path / "narrow.mp4", frames, fps=25)
    read = DecordReader("cpu")(str(tmp_path / "narrow.mp4")).frames([0, 5])
    assert read.shape == (2, 3, 32, width)
    written = torch.from_numpy(frames[[0, 5]]).permute(0, 3, 1, 2)
    assert (read.float() - written.float()).abs().mean() < 2


def test_cuda_without_support_says_how_to_get_it(monkeypatch):
    with pytest.raises(ValueError, match="reader.device=cuda: expected a CUDA device, got none here"):
        DecordReader("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match=r"expected a decord built with CUDA.*got one without.*USE_CUDA=ON"):
        DecordReader("cuda")


@pytest.mark.parametrize("first", ["truncated.mp4", "gone.mp4"])
def test_a_first_video_that_cannot_be_opened_ends_no_run_where_there_is_a_gpu(tmp_path, video, monkeypatch, first):
    """As of a split whose loader is made: what cannot be read is left to on_error=skip."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (tmp_path / "truncated.mp4").write_bytes(Path(video).read_bytes()[:400])
    for reader in (DecordReader(), AutoReader()):
        assert reader.worker_context(str(tmp_path / first)) is None
        assert len(reader(video)) == 20
        with pytest.raises(DecodeError, match=first):
            reader(str(tmp_path / first))


@pytest.fixture
def decord_on_gpus(monkeypatch):
    """The numbers of the GPUs on which a decord that is built with CUDA was asked to decode."""
    import decord

    numbers = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(decord, "gpu", lambda number: numbers.append(number) or decord.cpu(0))
    _check_cuda.cache_clear()
    yield numbers
    _check_cuda.cache_clear()


def test_decord_is_tried_on_the_gpu_with_a_video_of_our_own(decord_on_gpus, video):
    reader = DecordReader("cuda", gpu=3)
    assert decord_on_gpus == [3]
    assert reader.worker_context("gone.mp4") == "spawn"
    assert len(reader(video)) == 20
    assert decord_on_gpus == [3, 3]


def test_workers_decode_on_the_gpu_of_the_process_that_starts_them(decord_on_gpus, video, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    reader = DecordReader("cuda")
    assert decord_on_gpus == [2]  # before torch has chosen one
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)  # by trainer.devices
    sent = pickle.dumps(MemoryReader(reader))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)  # as in each process that is spawned
    assert len(pickle.loads(sent)(video)) == 20
    assert decord_on_gpus[-1] == 1


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="cpu, cuda or auto, got 'gpu'"):
        DecordReader("gpu")


@pytest.fixture
def frame_folder(tmp_path):
    frames = torch.from_numpy(moving_square(11)).permute(0, 3, 1, 2).contiguous()
    for number, frame in enumerate(frames, start=1):
        write_png(frame, str(tmp_path / f"img_{number}.png"))
    (tmp_path / "notes.txt").write_text("not a frame")
    return tmp_path


def test_a_folder_of_frames_reads_like_a_video(frame_folder):
    reader = FrameFolderReader("img_%d.png")(str(frame_folder))
    assert len(reader) == 11
    frames = reader.frames([10, 1, 1])
    assert np.array_equal(frames[0].permute(1, 2, 0).numpy(), moving_square(11)[10])
    assert [square_position(frame) for frame in frames] == [10, 1, 1]


def test_a_broken_frame_is_named(tmp_path):
    write_jpeg(torch.zeros(3, 8, 8, dtype=torch.uint8), str(tmp_path / "img_00001.jpg"))
    (tmp_path / "img_00002.jpg").write_bytes(b"no picture")
    with pytest.raises(DecodeError, match=r"could not decode .*img_00002.jpg"):
        FrameFolderReader()(str(tmp_path)).frames([0, 1])


def test_a_folder_without_such_frames_is_refused(tmp_path):
    with pytest.raises(DecodeError, match=r"expected frames named like 'img_%05d.jpg', found none"):
        FrameFolderReader()(str(tmp_path))
    with pytest.raises(DecodeError, match="expected a folder of frames, got nothing"):
        FrameFolderReader()(str(tmp_path / "gone"))


def test_a_template_without_a_number_is_refused():
    with pytest.raises(ValueError, match="one %d in it, got 'img.jpg'"):
        FrameFolderReader("img.jpg")


@pytest.fixture
def torchcodec_reader():
    from tbe.data.readers.torchcodec_reader import TorchCodecReader

    try:
        return TorchCodecReader()
    except ValueError as error:
        pytest.skip(str(error))


def test_torchcodec_reads_the_frames_that_decord_reads(torchcodec_reader, video):
    ours, theirs = torchcodec_reader(video), DecordReader("cpu")(video)
    assert len(ours) == len(theirs)
    difference = ours.frames([7, 0, 7, 19]).float() - theirs.frames([7, 0, 7, 19]).float()
    assert difference.abs().mean() < 2


def test_torchcodec_names_a_file_it_cannot_read(torchcodec_reader, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(DecodeError, match=r"could not open .*broken.mp4"):
        torchcodec_reader(str(tmp_path / "broken.mp4"))


def test_a_file_in_which_a_library_finds_no_frame_is_refused(video, monkeypatch):
    from tbe.data.readers import torchcodec_reader

    monkeypatch.setattr("decord.video_reader._CAPI_VideoReaderGetFrameCount", lambda handle: 0)
    monkeypatch.setattr("tbe.data.readers.torchcodec_reader._decoder", lambda: lambda path, **settings: [])
    for reader in (DecordReader("cpu"), torchcodec_reader.TorchCodecReader()):
        with pytest.raises(DecodeError, match=r"could not open .*clip.mp4"):
            reader(video)


def test_torchcodec_decodes_on_the_gpu_of_its_process(monkeypatch, video):
    from tbe.data.readers import torchcodec_reader

    devices = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    decoder = lambda path, device, num_ffmpeg_threads: devices.append(device) or [0]  # noqa: E731
    monkeypatch.setattr("tbe.data.readers.torchcodec_reader._decoder", lambda: decoder)
    monkeypatch.setenv("LOCAL_RANK", "2")
    torchcodec_reader.TorchCodecReader("cuda")(video)
    torchcodec_reader.TorchCodecReader("cuda", gpu=1)(video)
    torchcodec_reader.TorchCodecReader()(video)
    assert devices == ["cuda:2", "cuda:1", "cpu"]


def test_torchcodec_refuses_what_is_not_there(monkeypatch):
    from tbe.data.readers.torchcodec_reader import TorchCodecReader

    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ValueError, match="reader=torchcodec: expected torchcodec and the system's FFmpeg"):
        TorchCodecReader()
    with pytest.raises(ValueError, match="expected device cpu or cuda, got 'gpu'"):
        TorchCodecReader("gpu")
