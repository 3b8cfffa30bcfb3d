"""Two videos in one."""

import pytest
import torch
from torch.testing import assert_close

from tbe.augment import mixing
from tbe.augment.mixing import Mixing
from tbe.errors import UserError

LABELS = torch.arange(6)


def clips():
    """Each clip has a color of its own, its number."""
    return torch.arange(6.0).view(6, 1, 1, 1, 1).expand(6, 3, 4, 16, 12).clone()


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_target_has_the_shares_that_the_clip_is_made_of(kind):
    torch.manual_seed(0)
    mixed, targets = Mixing(**{"mixup": 0.0, "cutmix": 0.0, kind: 1.0})(clips(), LABELS, 7)
    assert targets.shape == (6, 7)
    for number, (clip, target) in enumerate(zip(mixed, targets, strict=True)):
        other = number - 1 if number else 5
        assert_close(target[number] + target[other], torch.tensor(1.0))
        assert_close(clip.mean(), target[number] * number + target[other] * other, atol=1e-4, rtol=1e-4)
        assert torch.equal(clip, clip[:1, :1].expand_as(clip))  # the same in all frames
        values = clip.unique().tolist()
        assert len(values) == 1 if kind == "mixup" else set(values) <= {number, other}
    assert len(targets.diagonal().unique()) > 1  # each clip has a share of its own


def test_a_cut_is_one_box():
    torch.manual_seed(1)
    mixed, _ = Mixing(mixup=0.0)(clips(), LABELS, 6)
    for number, clip in enumerate(mixed):
        inside = clip[0, 0] != number
        assert torch.equal(inside, inside.any(dim=1, keepdim=True) & inside.any(dim=0, keepdim=True))


def test_with_both_ways_some_clips_are_blended_and_some_cut_and_some_left_alone():
    torch.manual_seed(2)
    many = torch.arange(200.0).view(-1, 1, 1, 1, 1).expand(200, 1, 1, 8, 8)
    mixed, targets = Mixing(prob=0.5)(many, torch.arange(200), 200)
    alone = targets.diagonal() == 1
    is_whole = (mixed.flatten(1) % 1 == 0).all(dim=1)
    assert 70 < alone.sum() < 140
    assert 25 < (is_whole & ~alone).sum() < 75
    assert 25 < (~is_whole).sum() < 75


def pairs(count):
    """Clips that are black and white in turn, and their labels: what is added to one is always of the other."""
    labels = torch.arange(count) % 2
    return labels.view(-1, 1, 1, 1, 1).expand(count, 1, 1, 32, 32).float(), labels


@pytest.mark.parametrize("strength", [0.2, 2.0])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_are_of_a_beta_distribution_of_the_strength(kind, strength, monkeypatch):
    torch.manual_seed(0)
    areas = []
    draw_boxes = mixing._random_boxes
    monkeypatch.setattr(mixing, "_random_boxes", lambda share, clips: areas.append(share) or draw_boxes(share, clips))
    given, labels = pairs(2000)
    _, targets = Mixing(**{"mixup": 0.0, "cutmix": 0.0, kind: strength})(given, labels, 2)
    own = targets.gather(1, labels.unsqueeze(1)).flatten()
    shares = own if kind == "mixup" else 1 - areas[0]  # of a box before it is cut off at the border
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * strength + 1)), rel=0.1)
    assert (own >= shares - 0.05).all()


@pytest.mark.parametrize("switch", [0.0, 0.25, 0.8])
def test_with_both_ways_clips_are_cut_with_the_probability_of_the_switch(switch):
    torch.manual_seed(0)
    given, labels = pairs(1000)
    mixed, _ = Mixing(switch=switch)(given, labels, 2)
    is_cut = (mixed.flatten(1) % 1 == 0).all(dim=1)
    assert is_cut.float().mean().item() == pytest.approx(switch, abs=0.04)


def test_without_strength_nothing_is_on():
    assert not Mixing(mixup=0, cutmix=0).is_on
    assert not Mixing(prob=0).is_on
    with pytest.raises(UserError, match="Mixing: expected mixup and cutmix of at least 0"):
        Mixing(mixup=-1)
