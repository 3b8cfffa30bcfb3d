import torch
from torch.testing import assert_close
from torchvision.models.video import s3d

from tbe.backbones.s3d import S3D, _Gate


def num_parameters(network):
    return sum(value.numel() for value in network.parameters())


@torch.no_grad()
def test_computes_what_torchvision_computes():
    theirs = s3d().features.eval()
    ours = S3D().eval()
    assert num_parameters(ours) == num_parameters(theirs)
    # Both list their tensors from the stem to the last block, in one order.
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    clips = torch.randn(2, 3, 16, 64, 64)
    assert_close(ours.forward_features(clips), theirs(clips), atol=1e-4, rtol=1e-4)


def test_gates_add_a_square_matrix_and_a_bias_for_each_temporal_convolution():
    widths = [64, 192, 128, 32, 192, 96, 208, 48, 224, 64, 256, 64, 288, 64, 320, 128, 320, 128, 384, 128]
    gates = sum(width * width + width for width in widths)
    with torch.device("meta"):
        assert num_parameters(S3D(gating=True)) == num_parameters(S3D()) + gates


def test_a_gate_weighs_channels_by_the_mean_over_time_and_space():
    gate = _Gate(3)
    maps = torch.rand(2, 3, 2, 4, 4)
    weights = torch.sigmoid(maps.mean(dim=(2, 3, 4)) @ gate.linear.weight.T + gate.linear.bias)
    assert_close(gate(maps), torch.einsum("bcthw,bc->bcthw", maps, weights))
