import pytest
import torch
from torch.testing import assert_close

from tbe.backbones.c3d import C3D

# 27 weights for each pair of channels, over the eight convolutions of the paper's figure 3.
PAIRS = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512
CHANNELS = 64 + 128 + 2 * 256 + 4 * 512


@pytest.mark.parametrize(
    ("batch_norm", "expected"), [(True, 27 * PAIRS + 2 * CHANNELS), (False, 27 * PAIRS + CHANNELS)]
)
def test_parameters_are_as_many_as_counted_by_hand(batch_norm, expected):
    with torch.device("meta"):
        network = C3D(batch_norm)
    assert sum(value.numel() for value in network.parameters()) == expected


def test_the_clip_of_the_paper_gives_the_8192_numbers_of_its_first_linear_layer():
    with torch.device("meta"):  # shapes without the computing
        maps = C3D().forward_features(torch.empty(1, 3, 16, 112, 112))
    assert maps.shape == (1, 512, 1, 4, 4)


@torch.no_grad()
def test_without_the_last_pooling_the_maps_are_those_of_conv5b():
    pooled, unpooled = C3D().eval(), C3D(pool5=False).eval()
    unpooled.load_state_dict(pooled.state_dict())
    clips = torch.rand(1, 3, 16, 32, 32)
    maps = unpooled.forward_features(clips)
    assert maps.shape == (1, 512, 2, 2, 2)
    assert_close(torch.nn.functional.max_pool3d(maps, 2), pooled.forward_features(clips))
