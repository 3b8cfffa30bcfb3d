import pytest
import torch
from torch.testing import assert_close
from torchvision.models import resnet50
from torchvision.models.video import r2plus1d_18, r3d_18

from tbe.backbones.resnet3d import ResNet3D, _conv3, _middle


def num_parameters(network):
    return sum(value.numel() for value in network.parameters())


def like_torchvision(state, ours):
    """Renames torchvision's tensors to ours: both list them from the stem to the last block, in the same order."""
    theirs = {name: value for name, value in state.items() if not name.startswith("fc.")}
    mapped = dict(zip(ours, theirs.values(), strict=True))
    # The endings must agree: weight, bias, running_mean, ...
    assert [name.split(".")[-1] for name in ours] == [name.split(".")[-1] for name in theirs]
    return mapped


@torch.no_grad()
@pytest.mark.parametrize(("network", "factorized"), [(r3d_18, False), (r2plus1d_18, True)])
def test_computes_what_torchvision_computes(network, factorized):
    theirs = network().eval()
    theirs.fc = torch.nn.Identity()
    ours = ResNet3D("basic", [2, 2, 2, 2], factorized=factorized).eval()
    assert num_parameters(ours) == num_parameters(theirs)
    ours.load_state_dict(like_torchvision(theirs.state_dict(), ours.state_dict()))
    clips = torch.randn(2, 3, 8, 32, 32)
    assert_close(ours(clips), theirs(clips), atol=1e-4, rtol=1e-4)


def test_one_time_step_of_every_kernel_makes_the_parameters_of_an_image_resnet50():
    with torch.device("meta"):
        ours = ResNet3D("bottleneck", [3, 4, 6, 3], stem_kernel=(7, 7, 7), stem_pool=True)
        image_network = resnet50()
    image_network.fc = torch.nn.Identity()
    one_step = sum(value[:, :, 0].numel() if value.ndim == 5 else value.numel() for value in ours.parameters())
    assert one_step == num_parameters(image_network)
    assert ours.num_features == 2048


@pytest.mark.parametrize(("in_channels", "out_channels"), [(16, 16), (64, 128), (512, 512)])
def test_a_factorized_convolution_has_about_as_many_weights(in_channels, out_channels):
    middle = _middle(in_channels, out_channels)
    weights = num_parameters(_conv3(in_channels, out_channels, (1, 1, 1), middle)) - 2 * middle  # without batch norm
    assert 0.98 < weights / (27 * in_channels * out_channels) <= 1


def test_the_small_r2plus1d_has_the_parameters_counted_by_hand():
    def split(inputs, outputs, time, area):
        middle = time * area * inputs * outputs // (area * inputs + time * outputs)
        return middle * (inputs * area + 2 + outputs * time)  # 2: its batch norm

    expected = split(3, 64, time=3, area=49) + 2 * 64
    for inputs, outputs in [(64, 64), (64, 128), (128, 256), (256, 512)]:
        expected += split(inputs, outputs, 3, 9) + split(outputs, outputs, 3, 9) + 4 * outputs
        expected += split(inputs, outputs, 1, 1) + 2 * outputs if inputs != outputs else 0
    with torch.device("meta"):
        ours = ResNet3D("basic", [1, 1, 1, 1], factorized=True, split_all=True)
    assert num_parameters(ours) == expected == 14_365_303


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_strides_shrink_time_and_space_by_their_products(block):
    network = ResNet3D(
        block, [1, 2], widths=(8, 16), temporal_strides=(1, 2), spatial_strides=(2, 2), stem_stride=(1, 1, 1)
    )
    assert network.forward_features(torch.randn(1, 3, 8, 16, 16)).shape == (1, network.num_features, 4, 4, 4)


def test_other_numbers_of_channels_work():
    network = ResNet3D("basic", [1], [8], [1], [1], in_channels=2)
    assert network(torch.randn(2, 2, 4, 8, 8)).shape == (2, 8)


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match=r"one of \['basic', 'bottleneck'\], got 'wide'"):
        ResNet3D("wide", [2, 2, 2, 2])
    with pytest.raises(ValueError, match=r"expected 2 temporal_strides, one for each stage, got \[1, 2, 2, 2\]"):
        ResNet3D("basic", [2, 2])
    with pytest.raises(ValueError, match="expected factorized=true with split_all=true"):
        ResNet3D("basic", [2, 2, 2, 2], split_all=True)
