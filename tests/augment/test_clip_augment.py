from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.testing import assert_close
from torchvision.transforms.v2 import functional as F

from tbe.augment import CenterCrop, ClipAugment, ColorJitter, RandomResizedCrop, clip_augment

CONFIGS = Path(__file__).parents[2] / "configs" / "augment"
LEAVES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
SIZES = torch.tensor([[40, 56], [40, 30], [24, 56], [33, 47]])


def strong(size: int = 24, **changes) -> ClipAugment:
    """An augmentation with all random stages enabled."""
    settings = {"crop": RandomResizedCrop(), "rotation": 10.0, "color": ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.8)}
    return ClipAugment(size, **(settings | {"gray": 0.3, "blur": 0.5} | changes))


def random_clips(batch: int = 4, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 6, channels, 40, 56), dtype=torch.uint8)


def with_seed(augment: ClipAugment, clips: torch.Tensor, sizes: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return augment(clips, sizes)


def test_the_output_is_a_valid_backbone_input():
    result = strong()(random_clips(), SIZES)
    assert result.shape == (4, 3, 6, 24, 24)
    assert result.dtype == torch.float32
    assert result.is_contiguous()


def test_without_randomness_it_equals_torchvisions_crop_resize_and_normalize():
    clips, mean, std = random_clips(), [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    result = ClipAugment(24, CenterCrop(0.5), flip=0.0, mean=mean, std=std)(clips, SIZES)
    for clip, (height, width), ours in zip(clips, SIZES.tolist(), result, strict=True):
        side = round(min(height, width) * 0.5)
        middle = clip[..., :height, :width][..., (height - side) // 2 :, (width - side) // 2 :][..., :side, :side]
        resized = F.resize(middle.float() / 255, [24, 24], antialias=True)
        assert_close(ours.transpose(0, 1), F.normalize(resized, mean, std), atol=1e-4, rtol=0)


def test_the_frames_of_a_clip_share_its_draw():
    still = random_clips()[:, :1].expand(-1, 6, -1, -1, -1)
    result = strong()(still, SIZES)
    assert_close(result, result[:, :, :1].expand_as(result), atol=1e-4, rtol=0)


def test_each_clip_has_its_own_draw():
    same = random_clips(1).expand(8, -1, -1, -1, -1)
    result = strong(blur=1.0)(same, SIZES[:1].expand(8, -1)).flatten(1)
    apart = (result[:, None] - result).abs().amax(dim=-1)
    assert (apart[~torch.eye(8, dtype=torch.bool)] > 0.1).all()


def test_padding_is_never_visible():
    clips, other = random_clips(), random_clips()
    for mine, theirs, (height, width) in zip(clips, other, SIZES.tolist(), strict=True):
        theirs[..., :height, :width] = mine[..., :height, :width]
    wider = torch.nn.functional.pad(clips, (0, 9, 0, 5), value=255)
    expected = with_seed(strong(), clips, SIZES)
    assert_close(with_seed(strong(), other, SIZES), expected, atol=0, rtol=0)
    assert_close(with_seed(strong(), wider, SIZES), expected, atol=1e-4, rtol=0)


def test_equal_seeds_give_equal_results():
    clips, augment = random_clips(), strong()
    first = with_seed(augment, clips, SIZES)
    assert_close(with_seed(augment, clips, SIZES), first, atol=0, rtol=0)
    assert (with_seed(augment, clips, SIZES, seed=1) - first).abs().max() > 0.1


def one_by_one_and_as_a_batch(monkeypatch, augment, clips):
    results = []
    for large in (0, clips.numel()):
        monkeypatch.setattr(clip_augment, "LARGE", large)
        results.append(with_seed(augment, clips, SIZES))
    assert not torch.equal(*results)  # they were made in two ways, not in one
    return results


@pytest.mark.parametrize("channels", [3, 2])
def test_large_clips_are_the_same_one_by_one_and_in_a_batch(monkeypatch, channels):
    changes = {} if channels == 3 else {"rotation": 0.0, "color": None, "gray": 0.0, "mean": [0.5] * 2, "std": [1] * 2}
    augment, clips = strong(blur=1.0, **changes), random_clips(channels=channels)
    assert_close(*one_by_one_and_as_a_batch(monkeypatch, augment, clips), atol=1e-4, rtol=0)


@pytest.mark.parametrize("blur", [0.0, 1e-9])  # none, and one that is drawn for none of them
@pytest.mark.parametrize("channels", [3, 2])
def test_large_clips_without_blur_are_accurate_to_one_level(monkeypatch, channels, blur):
    augment = ClipAugment(24, RandomResizedCrop(), blur=blur, mean=[0.0] * channels, std=[1.0] * channels)
    levels = [255 * clips for clips in one_by_one_and_as_a_batch(monkeypatch, augment, random_clips(channels=channels))]
    assert_close(levels[0], levels[0].round(), atol=1e-3, rtol=0)
    apart = (levels[0] - levels[1]).abs()
    assert apart.max() < 1.01
    assert apart.mean() < 0.3  # as rounding once or twice, up or down, has it


def test_the_input_is_not_modified():
    clips = random_clips()
    before = clips.clone()
    strong()(clips, SIZES)
    assert torch.equal(clips, before)


def test_inference_mode_and_autocast_change_nothing():
    clips, augment = random_clips(), strong()
    expected = with_seed(augment, clips, SIZES)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert_close(with_seed(augment, clips, SIZES), expected, atol=0, rtol=0)


def test_flip_and_gray_occur_with_their_probability():
    torch.manual_seed(0)
    clips = random_clips(1)[:, :1].expand(400, -1, -1, -1, -1)
    augment = ClipAugment(8, CenterCrop(), flip=0.3, gray=0.6, mean=(0, 0, 0), std=(1, 1, 1))
    result = augment(clips, SIZES[:1].expand(400, -1))
    plain = ClipAugment(8, CenterCrop(), flip=0.0, gray=1.0, mean=(0, 0, 0), std=(1, 1, 1))(clips[:1], SIZES[:1])
    is_gray = (result[:, 0] - result[:, 1]).abs().amax(dim=(1, 2, 3)) < 1e-5
    unflipped = (result - plain).abs().amax(dim=(1, 2, 3, 4))[is_gray] < 1e-5
    assert 0.5 < is_gray.float().mean() < 0.7
    assert 0.6 < unflipped.float().mean() < 0.8


def test_blur_is_a_probability_its_deviation_and_the_angle_of_rotation_are_drawn_from_their_ranges(monkeypatch):
    torch.manual_seed(0)
    sigmas, angles = [], []
    resample, rotate = clip_augment.resample, clip_augment.rotate
    monkeypatch.setattr(clip_augment, "resample", lambda *given: sigmas.append(given[4]) or resample(*given))
    monkeypatch.setattr(clip_augment, "rotate", lambda *given: angles.append(given[1]) or rotate(*given))
    clips, sizes = torch.zeros(400, 1, 3, 8, 8, dtype=torch.uint8), torch.full((400, 2), 8)
    ClipAugment(8, CenterCrop(), blur=0.7, blur_sigma=(0.5, 1.5), rotation=20.0)(clips, sizes)
    (sigma,), (degrees,) = sigmas, angles
    blurred = sigma[sigma > 0]
    assert 0.6 < len(blurred) / 400 < 0.8
    assert 0.5 <= blurred.min() < 0.55
    assert 1.45 < blurred.max() <= 1.5
    assert blurred.mean().item() == pytest.approx(1.0, abs=0.06)
    assert -20 <= degrees.min() < -19
    assert 19 < degrees.max() <= 20
    assert degrees.mean().abs() < 2


FLOW = {"mean": (0.5, 0.5), "std": (0.25, 0.25)}


def test_flipped_flow_is_the_flow_of_the_flipped_clip():
    clips = random_clips(channels=2)
    mirrored = clips.flip(-1)
    mirrored[:, :, 0] = 255 - mirrored[:, :, 0]
    sizes = torch.tensor([[40, 56]]).expand(4, -1)
    flipped = ClipAugment(24, CenterCrop(), flip=1.0, **FLOW)(clips, sizes)
    plain = ClipAugment(24, CenterCrop(), flip=0.0, **FLOW)
    assert_close(flipped, plain(mirrored, sizes), atol=1e-4, rtol=0)
    assert_close(flipped.flip(-1) * torch.tensor([-1, 1]).view(-1, 1, 1, 1), plain(clips, sizes), atol=1e-4, rtol=0)


def test_only_flipped_clips_negate_their_motion():
    torch.manual_seed(0)
    right = torch.full((400, 2, 2, 8, 8), 200, dtype=torch.uint8)
    result = ClipAugment(8, RandomResizedCrop(), flip=0.3, **FLOW)(right, torch.full((400, 2), 8))
    assert_close(result[:, 1], torch.full_like(result[:, 1], (200 / 255 - 0.5) / 0.25), atol=1e-4, rtol=0)
    assert 0.2 < (result[:, 0].amax(dim=(1, 2, 3)) < 0).float().mean() < 0.4
    assert_close(result[:, 0].abs(), result[:, 1], atol=1e-4, rtol=0)


def test_flow_can_be_cropped_and_blurred():
    flow = ClipAugment(16, RandomResizedCrop(), blur=0.5, **FLOW)
    assert flow(random_clips(channels=2), SIZES).shape == (4, 2, 6, 16, 16)


def test_settings_are_not_in_checkpoints():
    assert strong().state_dict() == {}


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_config_augments(leaf):
    config = OmegaConf.create({"clip": {"size": 16}, "augment": OmegaConf.load(CONFIGS / f"{leaf}.yaml")})
    augment = instantiate(config).augment
    channels = 2 if leaf.startswith("flow") else 3
    result = augment(random_clips(channels=channels), SIZES)
    assert result.shape == (4, channels, 6, 16, 16)
    assert result.isfinite().all()


@pytest.mark.parametrize("leaf", ["center", "flow_center", "none"])
def test_evaluation_uses_no_randomness(leaf):
    config = OmegaConf.create({"clip": {"size": 16}, "augment": OmegaConf.load(CONFIGS / f"{leaf}.yaml")})
    augment, clips = instantiate(config).augment, random_clips(channels=2 if leaf.startswith("flow") else 3)
    state = torch.get_rng_state()
    augment(clips, SIZES)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"size": 0}, "size"),
        ({"crop": 0.875}, "crop"),
        ({"flip": 1.5}, "flip"),
        ({"gray": -0.1}, "gray"),
        ({"blur": 2}, "blur"),
        ({"rotation": -1.0}, "rotation"),
        ({"blur_sigma": (2.0, 0.1)}, "blur_sigma"),
        ({"std": (0.2, 0.2)}, "std"),
        ({"std": (0.2, 0.2, 0.0)}, "std"),
        ({"mean": (0.5, 0.5), "std": (0.2, 0.2)}, "3 channels"),
        ({"mean": (0.5, 0.5), "std": (0.2, 0.2), "color": None}, "3 channels"),
        ({**FLOW, "color": None, "gray": 0.0}, "expected rotation 0 for 2 channels"),
    ],
)
def test_impossible_settings_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        strong(**settings)


@pytest.mark.parametrize(
    ("clips", "sizes", "match"),
    [
        (random_clips().float(), SIZES, "uint8"),
        (random_clips()[0], SIZES, "uint8"),
        (random_clips(channels=2), SIZES, r"\(B, T, 3, H, W\).*set augment=flow and augment@eval_augment=flow_center"),
        (random_clips(), SIZES[:3], "sizes"),
        (random_clips(), SIZES.float(), "int64"),
    ],
)
def test_invalid_input_is_refused(clips, sizes, match):
    with pytest.raises(ValueError, match=match):
        strong()(clips, sizes)
