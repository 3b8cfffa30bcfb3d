"""A backbone that the weights fit is still another one, if its settings say so."""

from pathlib import Path

import pytest

from tbe.checkpoints.checkpoint import Checkpoint
from tbe.config import build, plain
from tbe.errors import UserError
from tbe.launch import train_config
from tests.conftest import composed

VIT = ["experiment=ucf101_finetune_vit", "init_from=a"]  # whose own backbone is vit_b with flat positions


@pytest.fixture
def started(monkeypatch):
    """started(*overrides): the backbone of a run from the weights of a ViT with rotary positions."""

    def start(*overrides):
        trained = plain(composed("train", "backbone=vit_micro", "backbone.positions=rotary", run_dir="/runs/a"))
        checkpoint = Checkpoint("/runs/a", "pretrain", trained, 0, step=3, weights={}, prefix="")
        monkeypatch.setattr(train_config.checkpoints, "read_any", lambda file: checkpoint)
        monkeypatch.setattr(train_config.runs, "find", lambda *names, **settings: Path("/runs/a"))
        config = composed("train", *VIT, *overrides, run_dir="/runs/b")
        return train_config.resolve(config, [*VIT, *overrides])[0][0]["backbone"]

    return start


def test_a_checkpoint_brings_its_backbone_and_keys_are_set_over_it(started):
    assert (started()["positions"], started()["depth"]) == ("rotary", 5)
    found = started("backbone.drop_path=0.2")
    assert (found["positions"], found["drop_path"], found["width"]) == ("rotary", 0.2, 128)


def test_a_backbone_of_other_settings_is_refused_unless_the_command_says_them(started):
    with pytest.raises(UserError, match=r"init_from=/runs/a: .* positions rotary -> flat. Leave backbone= out"):
        started("backbone=vit_micro")
    assert started("backbone=vit_micro", "backbone.positions=sincos")["positions"] == "sincos"
    with pytest.raises(UserError, match="width 128 -> 192, depth 5 -> 12"):
        started("backbone=vit_ti", "backbone.positions=rotary")


@pytest.mark.parametrize(
    ("config", "changed", "said"),
    [
        ("vit_micro", {"positions": "flat"}, "as a whole: ViT(positions=sincos, grid=(4, 8, 8)) -> ViT(positions=flat"),
        ("vit_micro", {"heads": 8}, "blocks.0.attention: Attention(heads=4) -> Attention(heads=8)"),
        ("tiny", {"stem_stride": [1, 1, 1]}, "stride=(1, 2, 2), padding=(1, 1, 1), bias=False) -> Conv3d("),
        ("vit_micro", {"drop_path": 0.5}, None),
    ],
)
def test_weights_in_another_computation_are_warned_of(config, changed, said, caplog):
    trained = plain(composed("train", f"backbone={config}", run_dir="/runs/a"))
    weights = {f"b.{name}": value for name, value in build(trained["backbone"]).state_dict().items()}
    checkpoint = Checkpoint("/runs/a", "pretrain", trained, 0, step=3, weights=weights, prefix="b.")
    checkpoint.load_into(build(trained["backbone"]))
    assert not caplog.records
    checkpoint.load_into(build({**trained["backbone"], **changed}))
    messages = [record.getMessage() for record in caplog.records]
    assert [said in message for message in messages] == ([] if said is None else [True])
