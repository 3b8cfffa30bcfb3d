"""Checkpoints of this project and torchvision's networks as encoders."""

from urllib.error import URLError

import numpy as np
import pytest
import scipy.stats
import torch
import torchvision
from torch.testing import assert_close

import tbe
from tbe.augment import KINETICS_MEAN, KINETICS_STD
from tbe.encoders import load_encoder
from tbe.encoders.torchvision import _spec as torchvision_spec

MEAN, STD = (torch.tensor(values).view(3, 1, 1, 1) for values in (KINETICS_MEAN, KINETICS_STD))


@torch.no_grad()
def test_a_checkpoint_of_this_project_gives_what_its_backbone_gives(checkpoint):
    encoder, backbone = load_encoder(str(checkpoint)), tbe.load(checkpoint)
    clips = torch.rand(2, 3, 8, 32, 32)
    inputs = (clips - MEAN) / STD
    maps = backbone.forward_features(inputs)
    assert not encoder.training
    assert (encoder.spec.num_frames, encoder.spec.frame_stride, encoder.spec.size) == (8, 2, (32, 32))
    assert encoder.report.matched == encoder.report.total == len(backbone.state_dict())
    assert_close(encoder(clips), backbone(inputs))
    assert_close(encoder.maps(clips), maps)
    assert_close(encoder.tokens(clips), maps.flatten(2).transpose(1, 2))
    assert encoder.readouts[0] == "mean"


@torch.no_grad()
def test_files_are_embedded_through_an_encoder_as_through_its_backbone(checkpoint, caplog):
    clips = torch.randint(256, (2, 3, 8, 40, 60), dtype=torch.uint8)
    encoder = load_encoder(str(checkpoint))
    assert_close(tbe.embed(encoder, clips), tbe.embed(tbe.load(checkpoint), clips))
    small = clips[..., :32, :32] / 255
    caplog.clear()
    assert_close(tbe.embed(encoder, small), encoder(small))
    assert not caplog.records
    made = tbe.Preprocessing(8, 2, 32, (0.5,) * 3, (0.2,) * 3)
    for ask in (lambda **given: tbe.embed(encoder, clips, **given), lambda **given: tbe.for_mteb(encoder, **given)):
        with pytest.raises(
            ValueError, match="expected no preprocessing= beside .* which says itself how its clips are"
        ):
            ask(preprocessing=made)  # they would be normalized twice


@pytest.mark.parametrize("kind", ["a checkpoint", "torchvision:r3d_18@random"])
def test_tensors_that_may_be_missing_can_not_be_named(kind, checkpoint):
    name = str(checkpoint) if kind == "a checkpoint" else kind
    with pytest.raises(ValueError, match=r"expected no allow=, .* got fc.\*: min_matched=<share> says how many"):
        load_encoder(name, allow=["fc.*"])


@pytest.mark.parametrize("mean", [0.5, (), (0.5, 0.5)])
def test_colors_are_a_number_for_each_channel(mean, checkpoint):
    with pytest.raises(ValueError, match="expected mean and std to be a number for each channel, of one length"):
        load_encoder(str(checkpoint), mean=mean)


@torch.no_grad()
def test_clips_that_are_normalized_already_are_warned_of_once(checkpoint, caplog):
    encoder = load_encoder(str(checkpoint))
    for _ in range(2):
        encoder((torch.rand(2, 3, 8, 32, 32) - 0.5) / 0.2)
    assert caplog.text.count("expected clips in [0, 1], got values from -2.5") == 1


def assert_reads_what_the_classifier_reads(encoder, network, head):
    got = []
    getattr(network, head).register_forward_hook(lambda module, inputs, output: got.append(inputs[0]))
    clips = torch.rand(1, 3, encoder.spec.num_frames, 32, 32)
    network((clips - encoder.mean) / encoder.std)
    assert_close(encoder(clips), got[0].flatten(1), atol=1e-5, rtol=1e-5)
    assert encoder.maps(clips).mean(dim=(2, 3, 4)).shape == encoder(clips).shape


@torch.no_grad()
def test_a_file_of_torchvision_gives_what_its_own_classifier_gets(tmp_path):
    network = torchvision.models.get_model("mc3_18").eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    encoder = load_encoder(f"torchvision:mc3_18@{tmp_path / 'weights.pth'}", num_frames=8, size=32)
    assert encoder.report.matched == encoder.report.total > 0
    assert encoder.report.unexpected == ("fc.bias", "fc.weight")
    assert_reads_what_the_classifier_reads(encoder, network, "fc")
    tensors = network.state_dict()
    tensors.pop("layer4.1.conv1.1.bias")
    torch.save(tensors, tmp_path / "broken.pth")
    with pytest.raises(
        ValueError, match=r"at least 100% of its tensors.*matched 99 of 100.*missing 1: body.4.1.conv1.1.bias"
    ):
        load_encoder(f"torchvision:mc3_18@{tmp_path / 'broken.pth'}")


def test_the_picture_is_the_one_that_torchvision_makes():
    """Its ResNets bring frames to 128x171 whatever their proportions, then cut 112x112 out of the middle."""
    across, down = torch.meshgrid(torch.linspace(0, 255, 640), torch.linspace(0, 255, 360), indexing="xy")
    video = torch.stack([across, down, (across + down) / 2]).round().byte()[None, None]  # B T C H W
    for name in ("r3d_18", "s3d", "mvit_v2_s"):
        spec = load_encoder(f"torchvision:{name}@random").spec if name == "r3d_18" else torchvision_spec(name)
        theirs = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()(video)[:, :, 0]
        ours = spec.augment()(video, torch.tensor([[360, 640]]))[:, :, 0]
        ours = (ours - torch.tensor(spec.mean).view(3, 1, 1)) / torch.tensor(spec.std).view(3, 1, 1)
        assert_close(ours, theirs, atol=0.06, rtol=0)


def test_options_that_a_network_does_not_take_are_told_as_such():
    with pytest.raises(ValueError, match=r"expected options of the network or among num_frames.*got frames"):
        load_encoder("torchvision:r3d_18@random", frames=8)


@torch.no_grad()
def test_an_mvit_gives_its_class_token(monkeypatch):
    monkeypatch.setattr("torch.nn.init.trunc_normal_", torch.nn.init.normal_)  # in a tenth of the time
    torch.manual_seed(0)
    network = torchvision.models.get_model("mvit_v2_s").eval()
    torch.manual_seed(0)
    encoder = load_encoder("torchvision:mvit_v2_s@random", size=32)
    assert encoder.report.is_random
    assert encoder.readouts[0] == "cls"
    network.pos_encoding.spatial_size = (8, 8)  # torchvision's own is fixed at 224 x 224
    assert_reads_what_the_classifier_reads(encoder, network, "head")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet50", "expected a video network of torchvision among r3d_18, .*, got 'resnet50'"),
        ("torchvision:s3d@IMAGENET", "expected weights to be a file, random, DEFAULT or of KINETICS400_V1"),
        ("no/such/file", "expected a file, a run's folder or 'latest', got 'no/such/file'"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(name)


def test_weights_out_of_reach_are_one_line(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"download its weights, got .*no network.*torchvision:mc3_18@<file>"):
        load_encoder("torchvision:mc3_18")


@torch.no_grad()
def test_readouts_are_those_that_others_compute(checkpoint):
    clips = torch.rand(2, 3, 32, 32, 32)
    encoder = load_encoder(str(checkpoint), num_frames=32)
    maps = encoder.maps(clips)
    expected = {
        "mean": maps.mean(dim=(2, 3, 4)),
        "mean_std": torch.cat([maps.mean(dim=(2, 3, 4)), maps.std(dim=(2, 3, 4), correction=0)], dim=1),
    }
    moving = maps.mean(dim=(3, 4)).double().numpy()  # (B, F, t)
    skewness = np.nan_to_num(scipy.stats.skew(moving, axis=2))  # of channels that are always off there is none
    of_time = np.concatenate([moving.mean(axis=2), moving.std(axis=2), skewness], axis=1)
    expected["moments"] = torch.from_numpy(of_time).float()
    for pool, features in expected.items():
        assert_close(load_encoder(str(checkpoint), num_frames=32, pool=pool)(clips), features, atol=1e-5, rtol=1e-4)
