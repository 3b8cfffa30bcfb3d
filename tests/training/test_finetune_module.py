"""Finetuning: what is frozen, and the three ways against backgrounds that give the labels away."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tbe import BackgroundErasing, InterVideoErasing
from tbe.augment.mixing import Mixing
from tbe.backbones.vit import ViT
from tbe.config import build, plain
from tbe.methods.consistency import Consistency
from tbe.train import build_module
from tbe.training.finetune_module import FinetuneModule, certainty
from tests.conftest import composed
from tests.methods.networks import Mean


def module(**settings):
    torch.manual_seed(0)
    built = FinetuneModule(Mean(batch_norm=True), 3, nn.CrossEntropyLoss(), None, None, dropout=0.0, **settings)
    built.logged = {}
    built.log = lambda name, value, **more: built.logged.update({name: value.detach()})
    return built


def batch():
    generator = torch.Generator().manual_seed(1)
    return {"clips": torch.rand(4, 2, 3, 5, 4, 4, generator=generator), "label": torch.tensor([0, 1, 2, 0])}


def test_clips_are_distracted_in_training_and_keep_their_labels():
    built, clips = module(distractor=InterVideoErasing(ratio=0.9)), batch()["clips"]
    torch.manual_seed(3)
    loss = built.training_step(batch(), 0)
    torch.manual_seed(3)
    logits = built.classifier(built.distractor(clips.flatten(0, 1)))
    assert_close(loss, nn.functional.cross_entropy(logits, torch.tensor([0, 0, 1, 1, 2, 2, 0, 0])))
    assert set(built.logged) == {"train/loss", "train/top1"}
    assert not torch.equal(loss, module().training_step(batch(), 0))
    built.eval()
    built.validation_step(batch(), 0)  # as it was filmed
    expected = built.classifier(clips.flatten(0, 1)).softmax(dim=1).unflatten(0, (4, 2)).mean(dim=1)
    assert_close(built.top1.compute(), (expected.argmax(dim=1) == batch()["label"]).float().mean())


def test_the_consistency_compares_the_features_with_and_without_the_distractor():
    built, clips = module(distractor=InterVideoErasing(ratio=0.9), consistency=Consistency(2.0)), batch()["clips"]
    plain_loss = module(distractor=InterVideoErasing(ratio=0.9))
    losses = []
    for one in (built, plain_loss):
        torch.manual_seed(3)
        losses.append(one.training_step(batch(), 0))
    torch.manual_seed(3)
    clean = clips.flatten(0, 1)
    features = [built.backbone(one) for one in (built.distractor(clean), clean)]
    assert_close(losses[0] - losses[1], 2 * nn.functional.mse_loss(*features))
    assert_close(built.logged["train/consistency"], losses[0] - losses[1])
    with pytest.raises(ValueError, match="distractor.inplace: expected false with a consistency"):
        module(distractor=BackgroundErasing(inplace=True), consistency=Consistency(1.0))


def test_a_clip_that_stands_still_should_tell_nothing():
    built = module(static_weight=0.5)
    still = {**batch(), "clips": batch()["clips"][:, :, :, :1].expand(-1, -1, -1, 5, -1, -1)}
    logits = built.classifier(still["clips"].flatten(0, 1))
    labels = still["label"].repeat_interleave(2)
    penalty = 0.5 * certainty(logits)
    assert_close(built.training_step(still, 0), nn.functional.cross_entropy(logits, labels) + penalty)
    assert_close(built.logged["train/static"], penalty)
    with pytest.raises(ValueError, match="module.static_weight: expected at least 0, got -1"):
        module(static_weight=-1)


def test_a_clip_that_stands_still_leaves_no_trace_in_the_statistics_of_evaluation():
    with_penalty, without = module(static_weight=2), module()
    for one in (with_penalty, without):
        one.training_step(batch(), 0)
    assert_close(with_penalty.state_dict(), without.state_dict(), rtol=0, atol=0)
    assert not torch.equal(without.backbone.norm.running_mean, module().backbone.norm.running_mean)


def test_certainty_is_what_is_missing_to_a_guess():
    assert_close(certainty(torch.zeros(2, 8)), torch.tensor(0.0))
    assert_close(certainty(torch.tensor([[0.0, 100.0, 0.0]])), torch.tensor(math.log(3)))
    even = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    expected = (math.log(2) + 0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / 2
    assert_close(certainty(even.log()), torch.tensor(expected))


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [(True, {"layer", "norm"}), (False, set()), (["layer"], {"layer"}), ("norm", {"norm"}), ([], set())],
)
def test_what_is_frozen_does_not_learn_and_keeps_its_statistics(frozen, expected):
    built = module(frozen=frozen).train()
    before = {name: value.clone() for name, value in built.backbone.state_dict().items()}
    built.training_step(batch(), 0).backward()
    for name, parameter in built.backbone.named_parameters():
        assert (parameter.grad is None) == (name.split(".")[0] in expected), name
    assert all(parameter.grad is not None for parameter in built.classifier.head.parameters())
    assert torch.equal(before["norm.running_mean"], built.backbone.norm.running_mean) == ("norm" in expected)


def test_a_part_that_the_backbone_does_not_have_is_named():
    with pytest.raises(
        ValueError, match="module.frozen: expected true, false or parts of Mean, such as layer, norm, got"
    ):
        module(frozen=["layer", "stages.7"])


def test_the_configs_of_finetuning_reach_the_module(tmp_path):
    asked = ["stage=finetune", "backbone=tiny", "experiment=none"]
    usual = build_module(plain(composed("train", *asked, run_dir=tmp_path)), num_classes=3)
    clips = torch.rand(2, 3, 4, 8, 8)
    assert usual.distractor(clips) is clips
    assert (usual.consistency.weight, usual.static_weight, usual.frozen) == (0, 0, ())
    asked += ["be@module.distractor=inter", "module.distractor.ratio=0.7", "consistency@module.consistency=mse"]
    config = plain(
        composed("train", *asked, "module.frozen=[stem,stages.0]", "module.static_weight=2", run_dir=tmp_path)
    )
    found = build(config["module"], num_classes=3)
    assert isinstance(found.distractor, InterVideoErasing)
    assert (found.distractor.ratio, found.consistency.weight, found.static_weight) == (0.7, 1.0, 2)
    still = {name for name, parameter in found.backbone.named_parameters() if not parameter.requires_grad}
    assert still == {name for name, _ in found.backbone.named_parameters() if name.startswith(("stem.", "stages.0."))}


def test_the_recipe_sets_the_dropout_the_smoothing_of_labels_and_the_averages_of_the_optimizer(tmp_path):
    asked = [
        "module.dropout=0.3",
        "module.loss.label_smoothing=0.2",
        "optimizer=adamw_vit",
        "optimizer.betas=[0.8,0.95]",
    ]
    config = plain(composed("train", "stage=finetune", "backbone=tiny", *asked, run_dir=tmp_path))
    found = build_module(config, num_classes=3)
    assert found.classifier.dropout.p == 0.3
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    wanted = torch.full((4, 3), 0.2 / 3) + 0.8 * nn.functional.one_hot(labels, 3)
    assert_close(found.loss(logits, labels), -(wanted * logits.log_softmax(dim=1)).sum(dim=1).mean())
    built = found.optimizer(found.optimizer.groups(found.classifier, found.backbone))
    assert {group["betas"] for group in built.param_groups} == {(0.8, 0.95)}


def test_paths_are_dropped_where_the_recipe_says_so_and_the_network_has_some():
    network = ViT(width=24, depth=3, heads=2, drop_path=0.1)
    FinetuneModule(network, 3, nn.CrossEntropyLoss(), None, None, drop_path=0.4)
    assert [block.drop_path.p for block in network.blocks] == [0, 0.2, 0.4]
    with pytest.raises(ValueError, match="module.drop_path: expected null with Mean, which drops no paths, got 0.4"):
        module(drop_path=0.4)


def test_mixed_clips_have_the_labels_of_both():
    built, clips = module(mix=Mixing()), batch()["clips"].flatten(0, 1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 0])
    torch.manual_seed(3)
    loss = built.training_step(batch(), 0)
    torch.manual_seed(3)
    mixed, targets = built.mix(clips, labels, 3)
    assert_close(loss, nn.functional.cross_entropy(built.classifier(mixed), targets))
