"""Files of other projects: recognised by their keys, equal in what they compute, or refused."""

import json
import logging
import os
import zipfile
from argparse import Namespace
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from torch.testing import assert_close

from tbe.backbones.c3d import C3D
from tbe.backbones.i3d import I3D
from tbe.backbones.resnet3d import ResNet3D
from tbe.backbones.s3d import S3D
from tbe.backbones.torchvision import BODIES, TorchvisionBackbone
from tbe.checkpoints import foreign as weights
from tbe.checkpoints.checkpoint import read, read_any
from tbe.checkpoints.foreign import ForeignWeights
from tbe.config import build, plain
from tests.checkpoints.foreign import foreign_networks as foreign
from tests.checkpoints.foreign.foreign_networks import Written
from tests.conftest import NARROW, SMALL, composed

R3D = partial(ResNet3D, "basic", stem_kernel=(7, 7, 7), stem_pool=True)
# A residual network in small, which 3D-ResNets' names fit.
SMALL_R3D = partial(R3D, [1, 1], widths=[4, 8], temporal_strides=[1, 2], spatial_strides=[1, 2])

UNDERSCORED = ("branch_0", "branch_1.0", "branch_1.1", "branch_2.0", "branch_2.1", "branch_3.1")
NUMBERED = ("branch0.0", "branch1.0", "branch1.1", "branch2.0", "branch2.1", "branch3.1")
POSITIONS = (5, 6, 8, 9, 10, 11, 12, 14, 15)
LOWER = ("conv3d_1a_7x7", "conv3d_2b_1x1", "conv3d_2c_3x3")
I3D_PORT = partial(foreign.i3d, units=LOWER, mixed="mixed_", branches=UNDERSCORED, normed="batch3d")
NETWORKS = {
    "I3D of pytorch-i3d": (
        I3D,
        partial(
            foreign.i3d,
            units=("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"),
            mixed="Mixed_",
            branches=("b0", "b1a", "b1b", "b2a", "b2b", "b3b"),
            normed="bn",
            eps=1e-3,
        ),
        ("logits.conv3d.weight", "logits.conv3d.bias"),
    ),
    "I3D of kinetics_i3d_pytorch": (
        I3D,
        partial(I3D_PORT, eps=1e-3),
        ("conv3d_0c_1x1.conv3d.weight", "conv3d_0c_1x1.conv3d.bias"),
    ),
    "I3D of BE and FAME": (
        I3D,
        partial(I3D_PORT, eps=1e-5),
        ("id_head.2.weight", "id_head.2.bias", "painting_Gen.conv.weight"),
    ),
    "S3D of kylemin": (
        S3D,
        partial(
            foreign.s3d,
            stems=("base.0", "base.2", "base.3"),
            blocks=[f"base.{position}" for position in POSITIONS],
            branches=NUMBERED,
            unit_names=("conv", "bn"),
            separable_names=("conv_s", "bn_s", "conv_t", "bn_t"),
            eps=1e-3,
        ),
        ("fc.0.weight", "fc.0.bias"),
    ),
    "S3D of CoCLR": (
        S3D,
        partial(
            foreign.s3d,
            stems=("Conv_1a", "Conv_2b", "Conv_2c"),
            blocks=[f"Mixed_{block}" for block in foreign.INCEPTION],
            branches=NUMBERED,
            unit_names=("conv", "bn"),
            separable_names=("conv1", "bn1", "conv2", "bn2"),
            eps=1e-5,
        ),
        ("block1.0.conv1.weight", "block3.1.branch0.0.conv.weight"),
    ),
    "S3D of s3d.pytorch": (
        S3D,
        partial(
            foreign.s3d,
            stems=("features.0", "features.2", "features.3"),
            blocks=[f"features.{position}" for position in POSITIONS],
            branches=NUMBERED,
            unit_names=("conv", "bn"),
            separable_names=("conv", "bn", "conv2", "bn2"),
            eps=1e-3,
            bias=True,
        ),
        ("fc.weight", "id_head.2.bias"),
    ),
    "3D-ResNets, basic blocks": (partial(R3D, [2, 2, 2, 2]), partial(foreign.hara, layers=[2, 2, 2, 2]), ("fc.bias",)),
    "3D-ResNets, bottleneck blocks": (
        partial(ResNet3D, "bottleneck", [1, 2, 1, 1], stem_kernel=(7, 7, 7), stem_pool=True),
        partial(foreign.hara, layers=[1, 2, 1, 1], bottleneck=True),
        ("fc.weight", "cp.weight"),
    ),
    "R(2+1)D of order prediction": (
        partial(ResNet3D, "basic", [1, 3, 1, 1], factorized=True, split_all=True),
        partial(foreign.r2plus1d, layers=[1, 3, 1, 1]),
        ("linear.weight", "id_head.2.weight"),
    ),
    "C3D with batch norm": (partial(C3D, pool5=False), foreign.c3d, ("linear.weight", "id_head.2.weight")),
    "C3D": (
        partial(C3D, batch_norm=False, pool5=False),
        partial(foreign.c3d, normed=False),
        ("fc6.weight", "fc6.bias", "fc8.bias"),
    ),
    "C3D of numbered layers": (
        partial(C3D, batch_norm=False, pool5=False),
        partial(foreign.c3d, normed=False, names="features.{}", numbers=(0, 3, 6, 8, 11, 13, 16, 18)),
        ("classifier.0.weight", "classifier.3.bias"),
    ),
}


def counted(names):
    return sorted(name for name in names if not name.endswith("num_batches_tracked"))


def small_state(seed=0):
    """3D-ResNets' names and tensors for SMALL_R3D."""
    state = Written(seed)
    foreign.hara(state, torch.rand(1, 3, 4, 16, 16), [1, 1], widths=[4, 8])
    return dict(state)


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def others(state, prefix):
    """A network of the same names with other values."""
    return prefixed({name: value + 1 for name, value in state.items()}, prefix)


def as_torchvision(state):
    """Our names of a basic residual network as torchvision's."""
    replacements = {".branch.0": ".conv1.0", ".branch.1": ".conv1.1", ".branch.3": ".conv2.0", ".branch.4": ".conv2.1"}
    renamed = {}
    for name, value in state.items():
        for ours, theirs in {**replacements, ".shortcut": ".downsample"}.items():
            name = name.replace(ours, theirs)
        if name.startswith("stages."):
            _, stage, rest = name.split(".", 2)
            name = f"layer{int(stage) + 1}.{rest}"
        renamed[name] = value
    return renamed


@torch.no_grad()
@pytest.mark.parametrize("family", NETWORKS)
def test_a_network_of_another_project_computes_what_it_computed_there(family):
    build, theirs, heads = NETWORKS[family]
    state, clips = Written(), torch.rand(2, 3, 8, 32, 32)
    expected = theirs(state, clips)
    backbone = build().eval()
    content = {**state, **{name: torch.zeros(2) for name in heads}}
    match = weights.load(backbone, content, "file")
    assert match.family == family
    assert match.matched == tuple(counted(backbone.state_dict()))
    assert (match.missing, match.reshaped, match.surplus) == ((), (), ())
    assert match.unexpected == tuple(sorted(heads))
    assert len(match.matched) + len(match.folded) == len(state)
    assert_close(backbone.forward_features(clips), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("r3d_18", partial(ResNet3D, "basic", [2, 2, 2, 2])),
        ("r2plus1d_18", partial(ResNet3D, "basic", [2, 2, 2, 2], factorized=True)),
        ("s3d", S3D),
    ],
)
def test_torchvisions_weights_give_torchvisions_features(name, build):
    theirs = torchvision.models.get_model(name).eval()
    backbone = build().eval()
    match = weights.load(backbone, theirs.state_dict(), "file")
    assert len(match.unexpected) == 2  # the classifier
    clips = torch.rand(2, 3, 8, 32, 32)
    assert_close(backbone.forward_features(clips), BODIES[name](theirs)(clips), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", BODIES)
def test_torchvisions_weights_load_into_its_own_networks(name):
    theirs = torchvision.models.get_model(name)
    with torch.device("meta"):  # drawing weights that are then replaced takes seconds
        backbone = TorchvisionBackbone(name)
    match = weights.load(backbone.to_empty(device="cpu"), theirs.state_dict(), "file")
    assert match.share == 1
    expected = BODIES[name](theirs).state_dict()
    for key, value in backbone.body.state_dict().items():
        assert torch.equal(value, expected[key]), key


WRAPPERS = {
    "": lambda state: {**state, "fc.weight": torch.zeros(2)},
    "model module.": lambda state: {
        "opt": Namespace(arch="r3d18", pt_lr=0.003),
        "model": prefixed(state, "module."),
        "model_ema": others(state, "module."),
        "contrast": {"memory": torch.zeros(2, 2)},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(1)}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
    },
    "state_dict module.base_model.": lambda state: {"state_dict": prefixed(state, "module.base_model.")},
    "state_dict module.encoder_q.": lambda state: {
        "state_dict": {
            **others(state, "module.encoder_k."),
            **prefixed(state, "module.encoder_q."),
            "module.queue": torch.zeros(2),
        }
    },
    "state_dict encoder_q.0.": lambda state: {
        "state_dict": {
            **others(state, "sampler.0."),
            **others(state, "encoder_k.0."),
            **prefixed(state, "encoder_q.0."),
            "encoder_q.2.weight": torch.zeros(2),
        },
        "best_acc": torch.tensor(1.0),
    },
    "model encoder_q.encoder.": lambda state: {"model": prefixed(state, "encoder_q.encoder.")},
    "state_dict module.backbone.": lambda state: {"state_dict": prefixed(state, "module.backbone.")},
    "model_state": lambda state: {"model_state": state, "cfg": "a: 1"},
    "net base_encoder.": lambda state: {"net": {**prefixed(state, "base_encoder."), **others(state, "teacher.")}},
}


@pytest.mark.parametrize("where", WRAPPERS)
def test_networks_are_found_under_the_keys_and_prefixes_of_training_scripts(where, tmp_path):
    state, backbone = small_state(), SMALL_R3D()
    torch.save(WRAPPERS[where](state), tmp_path / "weights.pth")
    match = weights.load(backbone, weights.read(tmp_path / "weights.pth"), "file")
    assert match.where == where
    assert match.share == 1
    assert torch.equal(backbone.stem[0].weight, state["conv1.weight"])
    assert torch.equal(backbone.stages[1][0].shortcut[0].weight, state["layer2.0.downsample.0.weight"])


def test_keys_decide_and_not_the_name_of_the_file(tmp_path):
    torch.save(small_state(), tmp_path / "i3d.safetensors")
    assert weights.load(SMALL_R3D(), weights.read(tmp_path / "i3d.safetensors"), "file").share == 1


def test_safetensors_are_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = small_state()
    safetensors.save_file(state, tmp_path / "weights")
    found = weights.read(tmp_path / "weights")
    assert found.keys() == state.keys()
    assert torch.equal(found["conv1.weight"], state["conv1.weight"])


def test_half_precision_is_widened():
    state = {name: value.half() for name, value in small_state().items()}
    backbone = SMALL_R3D()
    weights.load(backbone, state, "file")
    assert backbone.stem[0].weight.dtype == torch.float32
    assert_close(backbone.stem[0].weight.data, state["conv1.weight"].float())


def test_weights_of_ours_without_a_config_keep_their_names():
    saved, backbone = SMALL_R3D(), SMALL_R3D()
    match = weights.load(backbone, {"state_dict": prefixed(saved.state_dict(), "backbone.")}, "file")
    assert match.family == "this project's own names"
    assert torch.equal(backbone.stem[0].weight, saved.stem[0].weight)


def test_the_report_says_in_one_line_what_was_matched(caplog):
    content = {"state_dict": {**prefixed(small_state(), "module."), "module.fc.weight": torch.zeros(2)}}
    with caplog.at_level(logging.INFO):
        match = weights.load(SMALL_R3D(), content, "w.pth")
    assert str(match) == (
        "matched 30 of 30 tensors (3D-ResNets, basic blocks, under state_dict module.); ignored 1: fc.weight"
    )
    assert [record.getMessage() for record in caplog.records] == [f"w.pth: {match}"]


def test_missing_tensors_are_named_in_a_warning(caplog):
    state = small_state()
    del state["layer1.0.bn1.bias"]
    backbone = SMALL_R3D()
    match = weights.load(backbone, state, "w.pth")
    assert match.missing == ("stages.0.0.branch.1.bias",)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == "w.pth: these tensors keep their random initialization: 1: stages.0.0.branch.1.bias"


def test_a_lower_share_is_taken_where_it_is_asked_for():
    state = {name: value for name, value in small_state().items() if not name.startswith("layer2.0.bn")}
    with pytest.raises(ValueError, match=r"at least 90% of its tensors.*matched 22 of 30.*min_matched lower"):
        weights.load(SMALL_R3D(), state, "file")
    assert weights.load(SMALL_R3D(), state, "file", min_matched=0.7).share == pytest.approx(22 / 30)


def test_a_bias_without_the_batch_norm_that_would_take_it_is_refused():
    state = state_of("C3D with batch norm")
    del state["bn1.running_mean"]
    with pytest.raises(ValueError, match=r"of layers that the backbone lacks 1: body\.0\.bias"):
        weights.load(C3D(pool5=False), state, "file")


def test_a_refused_file_changes_nothing():
    backbone = SMALL_R3D()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(ValueError, match="of another shape 1: stem.0.weight"):
        weights.load(backbone, {**small_state(), "conv1.weight": torch.zeros(4, 3, 3, 7, 7)}, "file", min_matched=0.1)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def state_of(family):
    state = Written()
    NETWORKS[family][1](state, torch.rand(1, 3, 8, 32, 32))
    return dict(state)


def torchvision_state():
    return torchvision.models.video.r3d_18().state_dict()


def test_a_deeper_network_is_refused():
    state = small_state()
    deeper = {**state, **{name.replace("layer2.0", "layer2.1"): value for name, value in state.items()}}
    with pytest.raises(ValueError, match=r"of layers that the backbone lacks 15: stages\.1\.1\."):
        weights.load(SMALL_R3D(), deeper, "file", min_matched=0.1)


def test_tensors_that_would_compute_something_else_are_refused():
    hara = small_state()
    unpooled = partial(SMALL_R3D, stem_pool=False)
    type_a = Written()
    foreign.hara(type_a, torch.rand(1, 3, 4, 16, 16), [5, 1], widths=[4, 8], shortcuts=False)
    deep = R3D([5, 1], widths=[4, 8], temporal_strides=[1, 2], spatial_strides=[1, 2])
    cases = [
        (deep, type_a, "its shortcuts have no weights"),
        (unpooled(), hara, r"have pooling after the stem.*\+backbone\.stem_pool=true"),
        (R3D([2, 2, 2, 2], stem_kernel=(3, 7, 7)), torchvision_state(), "have no pooling after the stem"),
        (C3D(), state_of("C3D with batch norm"), r"mean of conv5b.*backbone\.pool5=false"),
        (S3D(gating=True), state_of("S3D of CoCLR"), "has no gates, this backbone has"),
        (
            S3D(),
            {**state_of("S3D of CoCLR"), "Mixed_3b.gating_b0.fc.weight": torch.zeros(64, 64)},
            "gates each branch",
        ),
    ]
    for backbone, state, reason in cases:
        with pytest.raises(ValueError, match=reason):
            weights.load(backbone, state, "file", min_matched=0.1)


def test_the_error_says_whose_names_they_are_and_what_to_choose():
    state = state_of("I3D of pytorch-i3d")
    with pytest.raises(
        ValueError, match=r"w\.pth: expected the weights of C3D.*I3D of pytorch-i3d: choose backbone=i3d"
    ):
        weights.load(C3D(), state, "w.pth")
    with pytest.raises(ValueError, match=r"those of C3D: choose backbone=c3d backbone\.batch_norm=false"):
        weights.load(C3D(), state_of("C3D"), "w.pth")


def test_the_backbone_that_the_error_suggests_loads(tmp_path):
    settings = ["backbone=r3d_18", "+backbone.stem_kernel=[7,7,7]", "+backbone.stem_pool=true"]
    for overrides in (
        settings,
        ["backbone=c3d", "backbone.pool5=false"],
        ["backbone=c3d", "backbone.batch_norm=false"],
    ):
        config = composed("train", *overrides, run_dir=tmp_path)
        with torch.device("meta"):
            assert build(plain(config.backbone)).num_features == 512


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ([torch.zeros(1)], "got a list"),
        ({}, "got a dict of 0"),
        ({"epoch": 3, "arch": "i3d"}, "got a dict of 2: epoch, arch"),
        ({"s1.pathway0_stem.conv.weight": torch.zeros(1)}, r"names such as 1: s1\.pathway0_stem\.conv\.weight"),
    ],
)
def test_files_without_a_known_network_are_refused(content, got):
    with pytest.raises(ValueError, match=rf"w\.pth: expected the tensors of a network of a known kind.*{got}"):
        weights.load(SMALL_R3D(), content, "w.pth")


def test_two_different_networks_that_fit_are_refused():
    state = small_state()
    twins = {**prefixed(state, "rgb."), **others(state, "flow.")}
    with pytest.raises(
        ValueError, match=r"expected one network that fits, got 2 different ones, under 'flow\.' and 'rgb\.'"
    ):
        weights.load(SMALL_R3D(), twins, "file")
    weights.load(SMALL_R3D(), {**prefixed(state, "rgb."), **prefixed(state, "copy.")}, "file")


class Harm:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("content", ["code", "text", "truncated", "nothing"])
def test_files_that_are_not_tensors_are_refused_unread(content, tmp_path):
    file, harm = tmp_path / "weights.pth", tmp_path / "harm"
    torch.save({**small_state(), "payload": Harm(harm)} if content == "code" else small_state(), file)
    if content == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif content in ("text", "nothing"):
        file.write_text("weights" if content == "text" else "")
    for reader in (weights.read, read, read_any):
        is_corrupt = content == "truncated" and reader is not weights.read
        complaint = (
            "an intact checkpoint, got a corrupt" if is_corrupt else "tensors and plain types.*save only the tensors"
        )
        with pytest.raises(ValueError, match=rf"weights\.pth: expected {complaint}"):
            reader(file)
    assert not harm.exists()


def test_the_error_names_what_a_file_would_run_and_does_not_advise_to_run_it(tmp_path):
    torch.save({"weight": Harm(tmp_path / "harm")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"unsupported GLOBAL \w+\.mkdir") as error:
        weights.read(tmp_path / "weights.pth")
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n<!DOCTYPE html>\n<html><title>Sign in</title></html>", "weights, got an HTML page in place"),
        (
            "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            "weights, got an HTML page in place",
        ),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
            "weights, got a git-lfs pointer in place of the file: fetch it with 'git lfs pull'",
        ),
    ],
)
def test_files_that_are_not_weights_are_named(content, message, tmp_path):
    (tmp_path / "weights.pth").write_text(content)
    for reader in (weights.read, read_any):
        with pytest.raises(ValueError, match=rf"weights\.pth: expected {message}"):
            reader(tmp_path / "weights.pth")


def test_numpy_scalars_beside_the_weights_are_accepted(tmp_path):
    scores = {code: np.dtype(code).type(1) for code in "?bhilqBHILQefdFD"}
    torch.save({"state_dict": small_state(), **scores}, tmp_path / "weights.pth")
    # As a NumPy before version 2 names them.
    with zipfile.ZipFile(tmp_path / "weights.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    read_here = weights.read(tmp_path / "weights.pth")
    assert {code: read_here[code] for code in scores} == scores
    torch.testing.assert_close(read_here["state_dict"], small_state())
    assert weights.read(tmp_path / "old.pth")["d"] == 1


def test_a_foreign_file_is_not_read_as_a_checkpoint(tmp_path):
    torch.save(small_state(), tmp_path / "weights.pth")
    checkpoint = read_any(tmp_path / "weights.pth", backbone={"_target_": "tbe.backbones.resnet3d.ResNet3D"})
    assert isinstance(checkpoint, ForeignWeights)
    assert (checkpoint.config, checkpoint.name, checkpoint.classifier()) == ({}, "weights", None)
    with pytest.raises(ValueError, match="expected a checkpoint written by train.py"):
        read(tmp_path / "weights.pth")


def tiny_file(checkpoint, folder):
    """The backbone of a run under torchvision's names, as a MoCo script would save it."""
    state = prefixed(as_torchvision(read(checkpoint).backbone().state_dict()), "module.encoder_q.")
    torch.save({"state_dict": state, "epoch": 1}, folder / "theirs.pth")
    return folder / "theirs.pth"


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_training_starts_from_foreign_weights(stage, trained_once, train, tmp_path):
    file = tiny_file(trained_once / "checkpoints" / "last.ckpt", tmp_path)
    settings = ["backbone=tiny", NARROW[0], "optimizer.lr=0", "evaluation.clips=2"]
    run = train(f"stage={stage}", f"init_from={file}", *settings, folder="second")
    origin = {"path": str(file), "family": "torchvision video resnet", "matched": 65, "tensors": 65}
    assert metrics_of(run)["protocol"]["init"] == origin
    trained, given = read(run / "checkpoints" / "last.ckpt").backbone(), weights.read(file)["state_dict"]
    assert torch.equal(trained.stem[0].weight, given["module.encoder_q.stem.0.weight"])


def test_training_takes_the_backbone_of_the_config_for_foreign_weights(trained_once, train, tmp_path):
    file = tiny_file(trained_once / "checkpoints" / "last.ckpt", tmp_path)
    with pytest.raises(ValueError, match=r"theirs\.pth: expected the weights of C3D.*torchvision video resnet"):
        train(f"init_from={file}", "backbone=c3d")


def test_foreign_weights_are_measured_like_the_same_weights_of_ours(trained, evaluate, tmp_path):
    file = tiny_file(trained / "checkpoints" / "last.ckpt", tmp_path)
    named = ["data=biased_scenes", "clip=8x2_32", "backbone=tiny", NARROW[0], *SMALL[:7]]
    asked = ["task=[retrieval,knn]", "tasks.retrieval.pictures=0"]
    ours = metrics_of(evaluate(*asked, f"checkpoint={trained}"))
    theirs = metrics_of(evaluate(*asked, f"checkpoint={file}", *named, folder="foreign"))
    assert {**theirs, "protocol": 0} == {**ours, "protocol": 0}
    assert theirs["protocol"]["checkpoints"]["theirs"]["matched"] == 65
    beside = metrics_of(evaluate("task=knn", f"checkpoint=[{file},{trained}]", folder="both"))
    assert beside["theirs"] == beside["demo"]


def test_measuring_foreign_weights_needs_their_network_named(evaluate, tmp_path):
    torch.save(small_state(), tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w\.pth was not written by train\.py.*expected backbone=<choice> data=<choice>"
    ):
        evaluate(f"checkpoint={tmp_path}/w.pth", "clip=8x2_32")
