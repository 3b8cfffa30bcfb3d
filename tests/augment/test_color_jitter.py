from itertools import permutations

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms.v2 import functional as F

from tbe.augment import ColorJitter, color_jitter
from tbe.augment.color_jitter import adjust_brightness_, adjust_contrast_, adjust_hue_, adjust_saturation_, gray

FACTORS = torch.tensor([0.0, 0.3, 0.6, 1.0, 1.4, 2.0])
SHIFTS = torch.tensor([-0.5, -0.2, 0.0, 0.05, 0.3, 0.5])


def random_clips(batch: int = 6) -> torch.Tensor:
    """Returns clips (B, 3, T, H, W) with gray, black, white and two-channel pixels, the special cases of hue."""
    clips = torch.rand(batch, 3, 4, 10, 12)
    clips[..., 0, :] = clips[:, :1, ..., 0, :]
    clips[..., 1, :] = 0.0
    clips[..., 2, :] = 1.0
    clips[:, 1, :, 3] = clips[:, 2, :, 3]
    clips[:, 0, :, 4] = clips[:, 1, :, 4]
    return clips


def naive(adjust, clips: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    changed = [adjust(clip.transpose(0, 1), value) for clip, value in zip(clips, values.tolist(), strict=True)]
    return torch.stack(changed).transpose(1, 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (adjust_brightness_, F.adjust_brightness, FACTORS),
        (adjust_contrast_, F.adjust_contrast, FACTORS),
        (adjust_saturation_, F.adjust_saturation, FACTORS),
        (adjust_hue_, F.adjust_hue, SHIFTS),
    ],
)
def test_each_change_equals_torchvisions_clip_by_clip(ours, theirs, values):
    clips = random_clips()
    expected = naive(theirs, clips, values)
    assert_close(ours(clips, values), expected, atol=1e-4, rtol=0)
    assert_close(clips, expected, atol=1e-4, rtol=0)  # in place


@pytest.mark.parametrize("adjust", [adjust_brightness_, adjust_contrast_, adjust_saturation_, adjust_hue_])
def test_strides_do_not_matter(adjust):
    clips, values = random_clips(), torch.linspace(-0.5, 0.5, 6)
    strided = clips.permute(0, 3, 1, 2, 4).contiguous().permute(0, 2, 3, 1, 4)
    assert_close(adjust(strided, values), adjust(clips, values), atol=1e-5, rtol=0)


def test_gray_equals_torchvisions():
    clips = random_clips()
    expected = F.rgb_to_grayscale(clips.transpose(1, 2)).transpose(1, 2)
    assert_close(gray(clips), expected, atol=1e-5, rtol=0)


def test_jitter_changes_a_share_of_the_clips_each_by_its_own_factor():
    torch.manual_seed(0)
    clips = torch.full((400, 3, 2, 1, 1), 0.5)
    ratios = ColorJitter(brightness=0.4, prob=0.7)(clips) / 0.5
    assert_close(ratios, ratios[:, :1, :1].expand_as(ratios))
    factors = ratios[:, 0, 0, 0, 0]
    changed = factors != 1
    assert 0.6 < changed.float().mean() < 0.8
    assert len(factors[changed].unique()) > 250
    assert 0.6 <= factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.4


@pytest.mark.parametrize("strength", [0.2, 0.5])
@pytest.mark.parametrize(("name", "neutral"), [("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0)])
def test_amounts_are_drawn_evenly_from_the_range_that_is_asked_for(name, neutral, strength):
    torch.manual_seed(0)
    (change,) = ColorJitter(**{name: strength}).draw(400, torch.device("cpu"))
    assert change.adjust_ is getattr(color_jitter, f"adjust_{name}_")
    apart = (change.amounts - neutral) / strength
    assert -1 - 1e-5 <= apart.min() < -0.95
    assert 0.95 < apart.max() <= 1 + 1e-5
    assert apart.mean().abs() < 0.1
    assert apart.abs().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_order_of_the_changes_is_drawn_for_each_batch(monkeypatch):
    torch.manual_seed(0)
    calls = []
    for name in ("brightness", "contrast", "saturation", "hue"):
        monkeypatch.setattr(color_jitter, f"adjust_{name}_", lambda clips, values, name=name: calls.append(name))
    for _ in range(300):
        ColorJitter(0.4, 0.4, 0.4, 0.1)(torch.rand(1, 3, 1, 1, 1))
    orders = {tuple(calls[start : start + 4]) for start in range(0, len(calls), 4)}
    assert orders == set(permutations(("brightness", "contrast", "saturation", "hue")))


def test_strength_0_or_probability_0_changes_nothing():
    clips = random_clips()
    for jitter in (ColorJitter(), ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.0)):
        assert_close(jitter(clips.clone()), clips, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "settings", [{"brightness": -0.1}, {"contrast": 1.5}, {"saturation": -1}, {"hue": 0.6}, {"prob": 1.2}]
)
def test_impossible_strengths_are_refused(settings):
    with pytest.raises(ValueError, match=f"expected {next(iter(settings))} in"):
        ColorJitter(**settings)
