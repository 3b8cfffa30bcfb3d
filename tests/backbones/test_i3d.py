import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from tbe.backbones.i3d import I3D, _SameMaxPool, _SamePad, same_padding


def test_parameters_are_as_many_as_in_the_literature():
    # 12.3 million with a classifier of 400 classes; 12,697,264 in the public PyTorch port: 1024 weights and a
    # bias for each class, and in the body one weight for each pair of channels and kernel cell, two numbers for
    # each batch norm.
    classifier = 1024 * 400 + 400
    with torch.device("meta"):
        body = I3D()
    assert sum(value.numel() for value in body.parameters()) + classifier == 12_697_264


@pytest.mark.parametrize(
    ("clip", "maps"),
    [((16, 224, 224), (2, 7, 7)), ((64, 224, 224), (8, 7, 7)), ((9, 33, 63), (2, 2, 2)), ((8, 32, 32), (1, 1, 1))],
)
def test_time_and_space_shrink_8_and_32_times_rounded_up(clip, maps):
    with torch.device("meta"):  # shapes without the computing
        assert I3D().eval().forward_features(torch.empty(1, 3, *clip)).shape == (1, 1024, *maps)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (1, 1), (3, 1)])
def test_pooling_equals_tensorflows_same_padding(kernel, stride):
    for size in range(1, 12):
        maps = torch.randn(1, 2, size, size + 1, size + 2)
        padded = maps
        for axis in (2, 3, 4):
            total = same_padding(maps.shape[axis], kernel, stride)
            pads = [0, 0] * (4 - axis) + [total // 2, total - total // 2]
            padded = F.pad(padded, pads, value=-torch.inf)
        pool = _SameMaxPool((kernel,) * 3, (stride,) * 3)
        assert_close(pool(maps), F.max_pool3d(padded, kernel, stride), atol=0, rtol=0)


def test_the_padded_stem_gives_half_the_size_rounded_up():
    for size in range(1, 20):
        padded = _SamePad(7, stride=2)(torch.zeros(1, 1, size, size, size))
        assert F.conv3d(padded, torch.zeros(1, 1, 7, 7, 7), stride=2).shape[2:] == (-(-size // 2),) * 3


def test_an_odd_number_of_padded_cells_has_the_extra_one_at_the_end():
    padded = _SamePad(7, stride=2)(torch.ones(1, 1, 8, 8, 8))
    assert padded[0, 0, 2:10, 2:10, 2:10].all()
    assert padded.sum() == 8**3
    assert padded.shape[2:] == (13, 13, 13)
