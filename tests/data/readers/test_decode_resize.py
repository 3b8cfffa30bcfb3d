"""Large pictures are made small while they are decoded."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import write_jpeg

from tbe.data.clip_samplers import UniformClips
from tbe.data.dataset import VideoDataset, shrink
from tbe.data.readers import DecordReader, FrameFolderReader
from tbe.data.readers.auto_reader import AutoReader
from tbe.data.readers.decode_resize import pays, reduced_size, reducing
from tbe.data.readers.mixed_reader import MixedReader
from tbe.data.readers.pyav_reader import PyAvReader
from tbe.data.sources.records import make_records
from tbe.data.video_writer import write_video

SHORT_SIDE = 64
ASKED = [4, 0, 5, 4]


def pattern(height, width, num_frames=6):
    """Moving stripes, from broad to as fine as pixels, in colors: what is badly reduced shows false ones."""
    time, y, x = np.ogrid[:num_frames, :height, :width]
    chirp = np.sin((x / width) ** 2 * width * np.pi / 2 + time) * np.cos((y / height) ** 2 * height * np.pi / 2)
    slow = np.sin(2 * np.pi * (x + y) / width + time)
    return np.stack([128 + 60 * chirp + shift * slow for shift in (50, 0, -50)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module", params=[(480, 560), (560, 480)], ids=["wide", "tall"])
def video(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("large") / "large.mp4"
    write_video(file, pattern(*request.param), fps=25, options={"crf": "10", "preset": "ultrafast"})
    return str(file)


def psnr(found, expected):
    error = (found.float() - expected.float()).square().flatten(1).mean(dim=1).max()
    return 10 * torch.log10(255**2 / error).item()


@pytest.mark.parametrize("reader", [PyAvReader(), AutoReader("cpu")], ids=["pyav", "auto"])
def test_pictures_are_those_that_reducing_whole_ones_gives(video, reader):
    whole = shrink(reader(video).frames(ASKED), SHORT_SIDE)
    reduced = reducing(reader, SHORT_SIDE)(video).frames(ASKED)
    assert reduced.shape == whole.shape
    assert reduced.dtype == torch.uint8
    # One or two levels: they are reduced before they become RGB, not after. Every other pixel alone is far from it.
    assert psnr(reduced, whole) > 40
    assert psnr(torch.nn.functional.interpolate(reader(video).frames(ASKED), whole.shape[-2:]), whole) < 30


def test_all_clips_of_a_video_and_all_times_it_is_opened_give_the_same(video):
    records = make_records("/", [video[1:]], [0], [0])
    data = VideoDataset(records, AutoReader("cpu"), UniformClips(3, 1, num_clips=2), SHORT_SIDE)
    first, again = data[0]["clips"], data[0]["clips"]
    assert min(first.shape[-2:]) == SHORT_SIDE
    assert torch.equal(first, again)
    alone = PyAvReader(short_side=SHORT_SIDE)(video)
    assert torch.equal(first.flatten(0, 1), torch.cat([alone.frames([frame]) for frame in range(6)]))


def test_pictures_that_are_not_much_too_large_are_decoded_whole(video):
    assert PyAvReader(short_side=256)(video).frames([0]).shape == PyAvReader()(video).frames([0]).shape
    assert pays(480, 853, 192)
    assert not pays(480, 853, 193)
    assert not pays(479, 853, 40)
    assert not pays(1080, 1920, None)


@pytest.mark.parametrize("size", [(1080, 1920), (481, 857), (857, 481), (500, 500)])
def test_the_size_is_that_of_torchvision(size):
    from torchvision.transforms.v2.functional import resize

    assert resize(torch.zeros(1, *size), [SHORT_SIDE]).shape[1:] == reduced_size(*size, SHORT_SIDE)


def test_what_cannot_reduce_stays_as_it_is(video, tmp_path):
    for reader in (DecordReader("cpu"), FrameFolderReader()):
        assert reducing(reader, SHORT_SIDE) is reader
    assert reducing(PyAvReader(), None) == PyAvReader()
    write_jpeg(torch.zeros(3, 500, 500, dtype=torch.uint8), str(tmp_path / "img_00001.jpg"))
    mixed = reducing(MixedReader(PyAvReader(), FrameFolderReader()), SHORT_SIDE)
    assert min(mixed(video).frames([0]).shape[-2:]) == SHORT_SIDE
    assert mixed(str(tmp_path)).frames([0]).shape[-2:] == (500, 500)


def test_a_turned_video_stands_upright(video, tmp_path):
    content = bytearray(Path(video).read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # its matrix: 16.16, here of a quarter turn
    content[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    found = [PyAvReader(short_side=SHORT_SIDE)(str(file)).frames([1]) for file in (tmp_path / "turned.mp4", video)]
    assert torch.equal(found[0], found[1].rot90(-1, dims=(2, 3)))
