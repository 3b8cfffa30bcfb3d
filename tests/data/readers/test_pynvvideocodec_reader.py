"""The reader through PyNvVideoCodec, on a library that is pretended."""

import sys
import warnings
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tbe.data.readers import DecodeError
from tbe.data.readers.pynvvideocodec_reader import PyNvVideoCodecReader

LENGTH = 10


class Decoder:
    """As SimpleDecoder of version 2.2: a frame once each, in the order of their first mention, numbers beyond left out.

    Pictures of 4 x 6 pixels, all of the frame's number.
    """

    def __init__(self, path, gpu_id, use_device_memory, output_color_type):
        if "broken" in path:
            raise Exception("Elementary streams not supported\nand more")
        self.is_torn = "torn" in path
        self.settings = (gpu_id, use_device_memory, output_color_type)

    def __len__(self):
        return LENGTH

    def get_batch_frames_by_index(self, indices):
        known = [index for index in dict.fromkeys(indices) if 0 <= index < LENGTH]
        if len(known) < len(set(indices)):
            warnings.warn("Skipping index", stacklevel=2)
        return [torch.full((4, 6, 3), index, dtype=torch.uint8) for index in known[: 1 if self.is_torn else None]]


@pytest.fixture
def library(monkeypatch):
    module = ModuleType("PyNvVideoCodec")
    module.SimpleDecoder, module.OutputColorType = Decoder, SimpleNamespace(RGB="rgb")
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", module)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_frames_come_in_the_order_asked_for(library):
    reader = PyNvVideoCodecReader(gpu=1)
    video = reader("clip.mp4")
    assert video.decoder.settings == (1, True, "rgb")
    assert len(video) == LENGTH
    frames = video.frames([7, 0, 7, 9])
    assert frames.shape == (4, 3, 4, 6)
    assert frames.dtype == torch.uint8
    assert frames[:, 0, 0, 0].tolist() == [7, 0, 7, 9]
    assert reader.worker_context("clip.mp4") == "spawn"


def test_it_decodes_on_the_gpu_of_its_process(library, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert PyNvVideoCodecReader()("clip.mp4").decoder.settings[0] == 1


@pytest.mark.parametrize("asked", [[10], [-1, 3], []])
def test_frames_that_there_are_none_of_are_refused(library, asked):
    with pytest.raises(DecodeError, match=r"could not decode frames \[.*\] of clip.mp4: expected numbers from 0 to 9"):
        PyNvVideoCodecReader()("clip.mp4").frames(asked)


def test_files_it_cannot_read_are_named(library):
    with pytest.raises(DecodeError, match="could not open broken.mp4: Elementary streams not supported$"):
        PyNvVideoCodecReader()("broken.mp4")
    with pytest.raises(DecodeError, match=r"could not decode frames \[1, 2\] of torn.mp4: got 1 of 2 frames"):
        PyNvVideoCodecReader()("torn.mp4").frames([1, 2])


def test_what_is_not_there_is_said(library, monkeypatch):
    for gpu in (2, -1):
        with pytest.raises(ValueError, match=f"expected one of 2 GPUs, from 0 on, got {gpu}, or reader=auto"):
            PyNvVideoCodecReader(gpu)
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(ValueError, match="expected PyNvVideoCodec and NVIDIA's driver, got .*pip install PyNvVideo"):
        PyNvVideoCodecReader()
