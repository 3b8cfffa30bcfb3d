import copy
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from tbe.backbones.activation_checkpointing import Chain, recompute_activations, segments
from tbe.backbones.base import conv_norm_relu
from tests.conftest import shallow

LEAVES = sorted((Path(__file__).parents[2] / "configs" / "backbone").glob("[!_]*.yaml"))


def step(network, clips):
    """Runs a forward and a backward pass in training: returns the loss, gradients and buffers."""
    torch.manual_seed(3)  # for networks that drop whole paths
    features = network.train()(clips)
    loss = (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum()
    loss.backward()
    return loss, [parameter.grad for parameter in network.parameters()], dict(network.named_buffers())


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.stem)
def test_recomputing_gives_the_same_loss_gradients_and_statistics(leaf):
    torch.manual_seed(0)
    network = instantiate(shallow(OmegaConf.load(leaf)))
    for part in network.modules():
        if isinstance(part, StochasticDepth):
            part.p = 0.2
    clips = torch.randn(2, network.in_channels, *(max(least, 16) for least in network.min_size))
    other = copy.deepcopy(network)
    recompute_activations(other)
    assert other.state_dict().keys() == network.state_dict().keys()
    for kept, recomputed in zip(step(network, clips), step(other, clips), strict=True):
        assert_close(recomputed, kept, atol=0, rtol=0)


def counted(network):
    """Returns a network, and the number of runs of each of its convolutions."""
    runs = dict.fromkeys(range(2), 0)
    for number in runs:
        network[number].register_forward_pre_hook(lambda *_, number=number: runs.update({number: runs[number] + 1}))
    return network, runs


def test_segments_are_recomputed_only_in_training():
    network, runs = counted(Chain(conv_norm_relu(3, 4, 1), conv_norm_relu(4, 4, 1)))
    recompute_activations(network)
    clips = torch.rand(2, 3, 2, 4, 4)
    network(clips).sum().backward()
    assert set(runs.values()) == {2}
    network.eval()(clips).sum().backward()
    with torch.no_grad():
        network.train()(clips)
    assert set(runs.values()) == {4}


def test_only_the_inputs_of_segments_are_kept():
    network, clips, kept = Chain(*[conv_norm_relu(4, 4, 3) for _ in range(6)]), torch.rand(2, 4, 4, 8, 8), []

    def saved():
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()), id):
            network(clips)
        return sum(kept)

    before = saved()
    recompute_activations(network)
    assert saved() == 6 * clips.numel() < before / 2


def test_a_segment_ends_with_a_block_or_a_pooling():
    block, layers = conv_norm_relu(3, 4, 1), [nn.Conv3d(4, 4, 1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 4, 1)]
    another = conv_norm_relu(4, 4, 1)
    assert segments([nn.Sequential(block, another), *layers]) == [[block], [another], layers[:3], layers[3:]]
    assert segments([*layers, block]) == [layers[:3], [layers[3], block]]


def test_a_network_without_chains_is_refused():
    with pytest.raises(ValueError, match="checkpoint_activations: expected a backbone .*Chain, got Conv3d"):
        recompute_activations(nn.Conv3d(3, 4, 1))
