import pytest
import torch
import torchvision
from torch.testing import assert_close

from tbe.backbones.torchvision import BODIES, TorchvisionBackbone


@torch.no_grad()
@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t"])
def test_with_its_classifier_a_network_equals_torchvisions(name):
    network = torchvision.models.get_model(name).eval()
    classifier = network.head if name == "swin3d_t" else network.fc
    clips = torch.randn(1, 3, 8, 32, 32)
    features = BODIES[name](network)(clips).mean(dim=(2, 3, 4))
    assert_close(classifier(features), network(clips), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_tokens_of_mvit_are_those_without_the_class_token():
    network = torchvision.models.get_model("mvit_v2_s").eval()
    # The size of torchvision's is fixed at 224x224; less of it makes the test faster.
    network.pos_encoding.spatial_size = (24, 16)
    tokens = []
    network.norm.register_forward_hook(lambda module, inputs, output: tokens.append(output))
    clips = torch.randn(1, 3, 16, 96, 64)
    network(clips)
    maps = BODIES["mvit_v2_s"](network)(clips)
    assert maps.shape == (1, 768, 8, 3, 2)
    assert_close(maps.flatten(2).transpose(1, 2), tokens[0][:, 1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", BODIES)
def test_no_parameter_of_the_classifier_remains(name):
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    classifiers = [getattr(network, part) for part in ("fc", "head", "classifier") if hasattr(network, part)]
    kept = {id(value) for value in BODIES[name](network).parameters()}
    left = {id(value) for value in network.parameters()} - kept
    assert left == {id(value) for classifier in classifiers for value in classifier.parameters()}


def test_unknown_names_and_weights_are_refused():
    with pytest.raises(ValueError, match=r"expected name to be one of .*'swin3d_t'.*, got 'resnet50'"):
        TorchvisionBackbone("resnet50")
    with pytest.raises(
        ValueError, match=r"expected weights of s3d to be None or of \['KINETICS400_V1', 'DEFAULT'\], got 'IMAGENET'"
    ):
        TorchvisionBackbone("s3d", weights="IMAGENET")
