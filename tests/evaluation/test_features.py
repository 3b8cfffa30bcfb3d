"""Features of clips, as many in one go as memory holds."""

import logging

import pytest
import torch
from torch import nn

from tbe.evaluation.features import CLEAN, _Extractor


class Network(nn.Module):
    """Means of clips, with memory for so many."""

    def __init__(self, room, error=None):
        super().__init__()
        self.room = room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.seen = []

    def forward(self, clips):
        self.seen.append(len(clips))
        if len(clips) > self.room:
            raise self.error
        return clips.mean(dim=(2, 3, 4))


def vectors(network, max_clips_per_forward=None, num_batches=2):
    """What is extracted from batches of 5 videos, 4 clips each, (num_batches, 5, 4, F)."""
    extractor = _Extractor(network, True, CLEAN, max_clips_per_forward)
    generator = torch.Generator().manual_seed(0)
    for batch in range(num_batches):
        clips = torch.rand(5, 4, 3, 2, 4, 4, generator=generator)
        index = torch.arange(5) + 5 * batch
        extractor.predict_step({"clips": clips, "label": index, "index": index}, batch)
    return torch.stack([found for *_, found in extractor.rows])


def test_out_of_memory_halves_the_clips_per_forward_with_the_same_features(caplog):
    small = Network(room=6)
    with caplog.at_level(logging.WARNING):
        found = vectors(small)
    assert torch.equal(found, vectors(Network(room=20)))
    assert small.seen == [20, 10, 5, 5, 5, 5, 5, 5, 5, 5]  # the second batch does not try again
    said = [record.getMessage() for record in caplog.records]
    assert said == ["20 clips at once do not fit in memory: continuing with 5"]


def test_a_batch_smaller_than_max_clips_per_forward_is_fine(caplog):
    network = Network(room=3)
    vectors(network, max_clips_per_forward=3)
    assert network.seen == [3, 3, 3, 3, 3, 3, 2] * 2
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "GET was unable to find an engine to execute this computation",
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_memory_can_run_out_in_other_words(said):
    network = Network(room=5, error=RuntimeError(said))
    assert vectors(network).shape == (2, 5, 4, 3)
    assert network.seen[:3] == [20, 10, 5]


def test_another_error_is_no_lack_of_memory():
    network = Network(room=5, error=RuntimeError("expected 5D input"))
    with pytest.raises(RuntimeError, match="5D"):
        vectors(network)
    assert network.seen == [20]


def test_a_network_that_one_clip_is_too_much_for_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        vectors(Network(room=0))
