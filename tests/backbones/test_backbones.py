"""Requirements of every config in configs/backbone; a new config is tested automatically."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.testing import assert_close
from torchvision.ops import StochasticDepth

from tests.conftest import shallow

LEAVES = sorted((Path(__file__).parents[2] / "configs" / "backbone").glob("[!_]*.yaml"))


@pytest.fixture(scope="module", params=LEAVES, ids=lambda leaf: leaf.stem)
def leaf(request):
    return shallow(OmegaConf.load(request.param))


@pytest.fixture(scope="module")
def shared_backbone(leaf):
    torch.manual_seed(0)
    return instantiate(leaf)


@pytest.fixture
def backbone(shared_backbone):
    shared_backbone.zero_grad()
    return shared_backbone.eval()


@pytest.fixture(scope="module")
def clips(shared_backbone):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, shared_backbone.in_channels, 8, 32, 32, generator=generator)


@pytest.fixture(scope="module")
@torch.no_grad()
def features(shared_backbone, clips):
    return shared_backbone.eval()(clips)


def test_a_config_is_a_target_with_plain_arguments(leaf):
    assert "_target_" in leaf
    assert not any(OmegaConf.is_interpolation(leaf, key) for key in leaf)


@torch.no_grad()
def test_features_are_the_mean_of_the_feature_maps(backbone, clips, features):
    maps = backbone.forward_features(clips)
    assert maps.ndim == 5
    assert features.shape == (2, backbone.num_features) == maps.shape[:2]
    assert_close(features, maps.flatten(2).mean(dim=2))


@torch.no_grad()
def test_odd_sizes_and_the_smallest_size_work(backbone):
    for size in [(9, 40, 33), backbone.min_size]:
        assert backbone(torch.randn(1, backbone.in_channels, *size)).isfinite().all()


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix_in_evaluation(backbone, clips, features):
    assert_close(features[1:], backbone(clips[1:]), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_input_is_not_modified(backbone, clips):
    before = clips.clone()
    backbone(clips)
    assert_close(clips, before, atol=0, rtol=0)


@torch.no_grad()
def test_a_state_dict_restores_the_whole_network(leaf, backbone, clips, features):
    with torch.device("meta"):
        other = instantiate(leaf).eval()
    other.to_empty(device="cpu")
    other.load_state_dict(backbone.state_dict())
    assert_close(other(clips), features, atol=0, rtol=0)


def test_the_gradient_reaches_every_parameter_in_training(backbone, clips):
    backbone.train()
    for module in backbone.modules():
        if isinstance(module, StochasticDepth):  # would drop a block of the whole batch now and then
            module.eval()
    features = backbone(clips)
    (features * torch.randn_like(features)).sum().backward()
    missed = [name for name, value in backbone.named_parameters() if value.grad is None or not value.grad.any()]
    assert missed == []
    assert all(value.grad.isfinite().all() for value in backbone.parameters())


# Without gradients: oneDNN's bfloat16 weight gradient is at times not finite (torch 2.15, AVX512, Conv3d(64, 64, 3)
# on 2x4x4), in torchvision's networks as well.
@torch.no_grad()
def test_autocast_changes_little(backbone):
    shape = (1, backbone.in_channels, *(max(least, 16) for least in backbone.min_size))  # a CPU may have to emulate it
    clips = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = backbone(clips)
    with torch.autocast("cpu", torch.bfloat16):
        features = backbone(clips)
    assert torch.cosine_similarity(features.float(), expected).min() > 0.99


def test_wrong_clips_are_refused_with_what_was_expected_and_got(backbone):
    channels, (t, h, w) = backbone.in_channels, backbone.min_size
    wrong = {
        "4 axes": (channels, t, h, w),
        f"expected {channels} channels": (1, channels + 1, t, h, w),
        f"at least {backbone.min_size}".replace("(", r"\(").replace(")", r"\)"): (1, channels, t, h, w - 1),
    }
    for message, shape in wrong.items():
        for forward in (backbone, backbone.forward_features):
            with pytest.raises(ValueError, match=message):
                forward(torch.zeros(shape))
