"""Objects from the packaged configs, in a line of Python."""

import subprocess
import sys

import pytest
import torch

import tbe
from tbe.api.build import GROUPS
from tbe.config import build, plain
from tests.conftest import ROOT, composed


def test_importing_tbe_imports_no_library_until_a_name_is_used():
    code = "import sys, tbe; print(sorted({'torch', 'pytorch_lightning', 'hydra', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_all_public_names_are_listed_and_there():
    assert set(tbe.__all__) == set(dir(tbe))
    for name in tbe.__all__:
        assert getattr(tbe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'erase'"):
        _ = tbe.erase


@pytest.mark.parametrize("group", GROUPS)
def test_a_built_choice_is_what_training_builds(group, tmp_path):
    choice = {"backbone": "tiny", "data": "biased_scenes", "be": "inter", "method": "simclr"}.get(group)
    choice = choice or sorted(file.stem for file in (ROOT / "configs" / group).glob("[!_]*.yaml"))[0]
    found = tbe.build(group, choice)
    expected = build(plain(composed("train", "experiment=none", f"{group}={choice}", run_dir=tmp_path))[group])
    if group == "optimizer":
        found, expected = (make([torch.nn.Parameter(torch.ones(1))]) for make in (found, expected))
        assert found.defaults == expected.defaults
    assert type(found) is type(expected)
    if isinstance(found, torch.nn.Module):
        assert repr(found) == repr(expected)


def test_overrides_are_arguments_single_nested_keys_or_what_a_config_refers_to():
    assert tbe.build("backbone", "r3d_18", width=16).num_features == 128
    assert tbe.build("be", "inter", ratio=0.5).ratio == 0.5
    method = tbe.build("method", "moco", backbone="tiny", queue_size=64, encoder={"dim": 32})
    assert set(method.queue.keys.shape) == {32, 64}
    assert method.backbone.num_features == 128
    assert tbe.build("augment", "modern", clip="8x2_64").size == 64
    assert tbe.build("augment", "center", clip={"size": 96}).size == 96
    method = tbe.build("method", "moco", backbone="tiny", contrastive={"queue_size": 64, "mlp": True})
    assert set(method.queue.keys.shape) == {64, 128}
    parameters = [torch.nn.Parameter(torch.ones(1))]
    assert tbe.build("optimizer", "sgd", lr=0.5)(parameters).param_groups[0]["lr"] == 0.5


def test_a_given_network_is_used_itself():
    network = tbe.build("backbone", "tiny")
    assert tbe.build("method", "simclr", backbone=network).backbone is network


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        (("backbones", "tiny"), {}, "expected a group among augment, backbone, be, .*, got 'backbones'"),
        (("backbone", "r3d18"), {}, "backbone: expected a choice among c3d, .*r3d_18, .*, got 'r3d18'"),
        (("backbone", "tiny"), {"widht": 3}, "expected overrides of backbone tiny among .*width, widths.*, got widht"),
        (("method", "simclr"), {"backbone": "small"}, "backbone: expected a choice among c3d.*, got 'small'"),
        (("be", "original"), {"ratio": 30}, "expected ratio from 0 to 1, got 30"),
    ],
)
def test_unknown_names_are_one_line_with_the_choices(arguments, overrides, message):
    with pytest.raises(ValueError, match=message) as caught:
        tbe.build(*arguments, **overrides)
    assert "\n" not in str(caught.value)
