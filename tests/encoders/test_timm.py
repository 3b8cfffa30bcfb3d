"""Models of timm as encoders, averaged over frames."""

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from tbe.encoders import InputSpec, load_encoder
from tbe.encoders.report import LoadReport
from tbe.encoders.timm import TimmEncoder

timm = pytest.importorskip("timm", reason="needs timm: pip install -e '.[timm]'")
VIT = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 32}
NETWORKS = {
    "vit_tiny_patch16_224": VIT,
    "vit_base_patch16_siglip_224": VIT,
    "swin_tiny_patch4_window7_224": {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1), "img_size": 56},
    "resnet10t": {"size": 32},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """files(name) holds a network's tensors, with its classifier."""

    def make(name):
        torch.manual_seed(0)
        options = {key: value for key, value in NETWORKS[name].items() if key != "size"}
        network = timm.create_model(name, num_classes=5, **options).eval()
        file = tmp_path_factory.mktemp(name) / "weights.safetensors"
        save_file(network.state_dict(), file)
        return network, file

    return make


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_gives_the_mean_of_what_timms_own_pooling_gives_of_each_frame(name, files):
    network, file = files(name)
    network.reset_classifier(0)
    encoder = load_encoder(f"timm:{name}@{file}", num_frames=3, **NETWORKS[name])
    size = encoder.spec.size[0]
    clips = torch.rand(2, 3, 3, size, size)
    frames = ((clips - encoder.mean) / encoder.std).transpose(1, 2).flatten(0, 1)
    assert_close(encoder(clips), network(frames).unflatten(0, (2, 3)).mean(dim=1), atol=1e-5, rtol=1e-5)
    assert encoder.report.matched == encoder.report.total == len(network.state_dict())
    assert all(tensor.startswith(("head.", "fc.")) for tensor in encoder.report.unexpected)
    assert encoder.maps(clips).shape[2] == 3
    shuffled = encoder(clips[:, :, [2, 0, 1]])
    assert_close(shuffled, encoder(clips), atol=1e-5, rtol=1e-5)  # it sees no motion


class OfTimm(torch.nn.Module):
    """A model as some of timm's are: it does not say how many of its tokens are none of the picture."""

    def __init__(self, answer):
        super().__init__()
        self.cls_token, self.answer = torch.nn.Parameter(torch.zeros(1, 1, 4)), answer

    def forward_features(self, frames):
        return self.answer(torch.arange(17.0).view(1, 17, 1).expand(len(frames), 17, 4))

    def forward_head(self, found, pre_logits):
        return found[:, 0]


def of_timm(answer):
    spec = InputSpec(2, 1, (8, 8), (0.5,) * 3, (0.5,) * 3, layout="BCHW")
    return TimmEncoder("timm:other", OfTimm(answer), spec, LoadReport("random", total=1, matched=0))


def test_class_tokens_are_told_from_the_others_and_several_scales_are_refused():
    clips = torch.rand(1, 3, 2, 8, 8)
    found = of_timm(lambda tokens: tokens).encoding(clips)
    assert found.tokens[0, :, 0].tolist() == 2 * list(range(1, 17))
    assert found.summaries["cls"].sum() == 0
    with pytest.raises(
        ValueError, match="timm:other: expected a model of timm whose features are one tensor, got a list"
    ):
        of_timm(lambda tokens: [tokens])(clips)


def test_broken_files_are_refused_and_counted(files, tmp_path):
    network, _ = files("vit_tiny_patch16_224")
    name = "blocks.1.norm1.bias"
    good = network.state_dict()
    cases = {
        rf"1 missing \({name}\)": {key: value for key, value in good.items() if key != name},
        rf"1 of another shape \({name}\)": good | {name: good[name][:5]},
        r"1 of layers that the encoder lacks \(blocks.2.norm1.bias\)": good | {"blocks.2.norm1.bias": good[name]},
        "matched 0 of": {"trunk." + key: value for key, value in good.items()},
    }
    for number, (expected, tensors) in enumerate(cases.items()):
        for wrap in (lambda tensors: tensors, lambda tensors: {"model": tensors, "epoch": 3}):
            file = tmp_path / f"{number}.pth"
            torch.save(wrap(tensors), file)
            with pytest.raises(ValueError, match=expected):
                load_encoder(f"timm:vit_tiny_patch16_224@{file}", **VIT)
    torch.save(good, tmp_path / "good.pth")
    assert load_encoder(f"timm:vit_tiny_patch16_224@{tmp_path / 'good.pth'}", **VIT).report.share == 1


def test_what_timm_lacks_or_cannot_reach_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name, message in {
        "timm:vit_tinny_patch16_224": "expected a model of timm, such as vit_tiny_patch16_224",
        "timm:vit_tiny_patch16_224@nowhere.pth": "expected weights to be a file or random, got 'nowhere.pth'",
        "timm:vit_tiny_patch16_224": "expected to download its weights.*copy its file of weights here and name it",
    }.items():
        with pytest.raises(ValueError, match=message) as error:
            load_encoder(name)
        assert "\n" not in str(error.value)
    assert load_encoder("timm:resnet10t@random").report.is_random
    with pytest.raises(
        ValueError, match=r"expected options of the network or among .*got img_size, .*unexpected keyword"
    ):
        load_encoder("timm:resnet10t@random", img_size=64)
