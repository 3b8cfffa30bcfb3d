import pytest
from omegaconf import OmegaConf

from tbe.errors import UserError
from tbe.launch import moved_keys
from tests.conftest import composed


@pytest.mark.parametrize(("config", "moved"), [("train", moved_keys.TRAIN), ("eval", moved_keys.EVAL)])
def test_every_key_that_moved_is_where_the_message_says(config, moved, tmp_path):
    found = composed(config, run_dir=tmp_path)
    for old, new in moved.items():
        assert old not in found
        is_there = (
            new in ("task", "variant", "variants") or OmegaConf.select(found, new, default=moved_keys) is not moved_keys
        )
        assert is_there, f"{old} -> {new}"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "num_workers=0",
            "^num_workers is now datamodule.num_workers: expected datamodule.num_workers=0, got num",
        ),
        ("++queue_size=8", "expected method.queue_size=8, got"),
        ("evaluate.retrieval.ks=[1]", r"evaluate.retrieval.ks is now tasks.retrieval.ks"),
        ("task@evaluate=[linear]", r"expected task=\[linear\], got"),
    ],
)
def test_a_key_at_its_old_place_is_answered_with_the_new_one(override, said):
    with pytest.raises(UserError, match=said):
        moved_keys.check(["epochs=1", override], moved_keys.TRAIN)


def test_other_keys_and_values_with_such_names_pass():
    moved_keys.check(["name=negative", "be.per=batch", "optimizer.lr=1", "--help", "loss=nce"], moved_keys.TRAIN)


@pytest.mark.parametrize(
    ("override", "now"),
    [
        ("arm=moco", "variant=moco"),
        ("arms=moco,be", "variants=moco,be"),
        ("augment.colour.hue=0.2", "augment.color.hue=0.2"),
        ("++augment.grey=0", "augment.gray=0"),
        ("least_matched=0.5", "min_matched=0.5"),
    ],
)
def test_names_of_before_get_one_line_with_those_of_now(override, now):
    with pytest.raises(UserError, match=f"is now {now.partition('=')[0]}: expected {now}, got "):
        moved_keys.check(["seed=1", override], moved_keys.TRAIN)


def test_names_of_now_are_let_through():
    moved_keys.check(["variant=moco", "augment.color.hue=0.2", "data.arm=1"], moved_keys.TRAIN)
