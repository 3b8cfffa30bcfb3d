"""What decays, and at which rate each layer learns."""

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tbe.backbones.classifier import Classifier
from tbe.backbones.vit import ViT
from tbe.errors import UserError
from tbe.methods.masked.vjepa import VJEPA
from tbe.training.optim import ConfiguredLR, configure
from tbe.training.parameter_groups import GroupedAdamW
from tests.methods.networks import Mean

VIT = partial(ViT, width=24, depth=2, heads=2, patch=(2, 4, 4), registers=1)
TRAINER = SimpleNamespace(
    precision="32-true",
    gradient_clip_val=None,
    accumulate_grad_batches=1,
    max_steps=10,
    max_epochs=1,
    datamodule=SimpleNamespace(training_batches=lambda: 10),
)


def settings_of(optimizer, network):
    """By the name of each parameter, its rate and its decay."""
    names = {id(value): name for name, value in network.named_parameters()}
    groups = optimizer.param_groups
    return {names[id(value)]: (group["lr"], group["weight_decay"]) for group in groups for value in group["params"]}


def test_weights_of_layers_alone_decay_and_each_layer_learns_more_slowly_than_the_one_above():
    network = Classifier(VIT(), 3)
    built = configure(TRAINER, network, GroupedAdamW(1.0, 0.1, layer_decay=0.5), lambda *step: 1.0)["optimizer"]
    found = settings_of(built, network)
    assert found.keys() == dict(network.named_parameters()).keys()
    expected = {
        "backbone.registers": (0.125, 0),
        "backbone.tubelets.weight": (0.125, 0.1),
        "backbone.tubelets.bias": (0.125, 0),
        "backbone.blocks.0.attention.qkv.weight": (0.25, 0.1),
        "backbone.blocks.1.mlp.2.weight": (0.5, 0.1),
        "backbone.blocks.1.norm1.weight": (0.5, 0),
        "backbone.norm.weight": (1, 0),
        "head.weight": (1, 0.1),
        "head.bias": (1, 0),
    }
    assert {name: found[name] for name in expected} == expected


def test_all_that_is_trained_of_a_method_is_in_two_groups_without_layer_decay():
    method = VJEPA(VIT())
    groups = GroupedAdamW().groups(method, method.backbone)
    assert len(groups) == 2
    given = {id(value) for group in groups for value in group["params"]}
    assert given == {id(value) for value in method.parameters() if value.requires_grad}
    assert id(method.predictor.hidden_token) in {id(value) for value in groups[0]["params"]}
    assert groups[0]["weight_decay"] == 0


def test_the_step_is_that_of_torchs_adamw_on_such_groups_and_a_resumed_one_takes_the_rates_of_the_config():
    network = Classifier(VIT(registers=0), 3)
    settings = GroupedAdamW(lr=0.1, weight_decay=0.2, layer_decay=0.5)
    groups = settings.groups(network, network.backbone)
    theirs = torch.optim.AdamW([{**group} for group in copy.deepcopy(groups)], lr=0.1)
    built = settings(groups)
    schedule = ConfiguredLR(built, lambda step: 1 / (1 + step))
    for optimizer in (built, theirs):
        for group in optimizer.param_groups:
            for value in group["params"]:
                value.grad = value.detach().sin()
        optimizer.step()
    schedule.step()
    for group, other in zip(built.param_groups, theirs.param_groups, strict=True):
        assert_close(group["params"], other["params"])
        assert group["lr"] == other["lr"] / 2
    changed = GroupedAdamW(lr=0.2, weight_decay=0.3, layer_decay=0.25)
    resumed = changed(changed.groups(network, network.backbone))
    its_schedule = ConfiguredLR(resumed, lambda step: 1 / (1 + step))
    resumed.load_state_dict(built.state_dict())
    its_schedule.load_state_dict(schedule.state_dict())
    found = settings_of(resumed, network)
    assert found["head.weight"] == (0.1, 0.3)
    assert found["backbone.blocks.1.norm1.weight"] == (0.025, 0)


def test_a_network_without_layers_to_count_is_refused():
    network = SimpleNamespace(parameters=lambda: [nn.Parameter(torch.zeros(1))], modules=list)
    with pytest.raises(UserError, match="optimizer.layer_decay: expected 1 with Mean, .* got 0.5. Set optimizer.layer"):
        GroupedAdamW(layer_decay=0.5).groups(network, Mean())
    with pytest.raises(UserError, match=r"optimizer.layer_decay: expected a number in \(0, 1\], got 0"):
        GroupedAdamW(layer_decay=0)
