import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms.v2 import functional as F

from tbe.augment.resample import blur_matrix, matrices, resample, resample_in_bands, rotate

BOXES = torch.tensor([[0, 0, 40, 56], [3, 5, 30, 21], [39, 55, 1, 1], [8, 0, 7, 56], [10, 20, 16, 16], [1, 2, 33, 33]])


def random_clips(batch: int = len(BOXES), channels: int = 3) -> torch.Tensor:
    """Returns clips (B, T, C, H, W), a view of channels-last frames, as decoders return them."""
    return torch.randint(0, 256, (batch, 4, 40, 56, channels), dtype=torch.uint8).permute(0, 1, 4, 2, 3)


def naive(clips: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    crops = [
        F.resized_crop(clip.float() / 255, *box, [size, size], antialias=True)
        for clip, box in zip(clips, boxes.tolist(), strict=True)
    ]
    return torch.stack(crops).transpose(1, 2)


@pytest.mark.parametrize("size", [1, 8, 16, 33, 64])
@pytest.mark.parametrize("channels", [2, 3])
def test_resampling_equals_torchvisions_resized_crop(size, channels):
    clips = random_clips(channels=channels)
    assert_close(resample(clips, BOXES, size), naive(clips, BOXES, size), atol=1e-5, rtol=0)


def test_memory_layout_does_not_matter():
    clips = random_clips()
    assert_close(resample(clips, BOXES, 16), resample(clips.contiguous(), BOXES, 16), atol=0, rtol=0)


def test_flips_apply_to_whole_clips():
    clips, flipped = random_clips(), torch.tensor([True, False, True, True, False, True])
    expected = naive(clips, BOXES, 16)
    expected[flipped] = expected[flipped].flip(-1)
    assert_close(resample(clips, BOXES, 16, flipped), expected, atol=1e-5, rtol=0)


def test_blur_is_torchvisions_blur_of_the_resized_crop_away_from_the_border():
    clips, sigma = random_clips(), torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 0.0])
    blurred = resample(clips, BOXES, 40, sigma=sigma)
    for clip, sharp, width in zip(blurred, naive(clips, BOXES, 40), sigma.tolist(), strict=True):
        expected = F.gaussian_blur(sharp, [25, 25], [width, width]) if width else sharp
        assert_close(clip[..., 12:-12, 12:-12], expected[..., 12:-12, 12:-12], atol=1e-4, rtol=0)


def test_blur_keeps_a_plain_picture_and_sigma_0_is_the_identity():
    weights = blur_matrix(torch.tensor([0.0, 2.0]), 9)
    assert_close(weights[0], torch.eye(9), atol=0, rtol=0)
    assert_close(weights.sum(dim=-1), torch.ones(2, 9))


def test_blur_has_no_subnormal_weights_that_would_slow_a_cpu_down():
    weights = blur_matrix(torch.tensor([0.1, 0.7, 2.0]), 224)
    assert weights[weights > 0].min() > 1e-9


def test_pixels_outside_the_box_have_no_effect():
    clips = random_clips()
    other = random_clips()
    for mine, theirs, (top, left, height, width) in zip(clips, other, BOXES.tolist(), strict=True):
        box = (..., slice(top, top + height), slice(left, left + width))
        theirs[box] = mine[box]
    sigma = torch.full((len(clips),), 2.0)
    assert_close(resample(clips, BOXES, 16, None, sigma), resample(other, BOXES, 16, None, sigma), atol=0, rtol=0)


def test_rotation_by_right_angles_is_rot90():
    clips = torch.rand(5, 3, 4, 9, 9)
    rotated = rotate(clips, torch.tensor([0.0, 90.0, 180.0, -90.0, 360.0]))
    for clip, result, turns in zip(clips, rotated, (0, 1, 2, -1, 0), strict=True):
        assert_close(result, clip.rot90(turns, dims=(-2, -1)), atol=1e-4, rtol=0)


def test_rotation_equals_torchvisions_inside_the_picture():
    clips, degrees = torch.rand(3, 3, 4, 32, 32), torch.tensor([10.0, -7.0, 3.0])
    for clip, result, angle in zip(clips, rotate(clips, degrees), degrees.tolist(), strict=True):
        expected = F.rotate(clip, angle, interpolation=F.InterpolationMode.BILINEAR)
        assert_close(result[..., 8:-8, 8:-8], expected[..., 8:-8, 8:-8], atol=1e-3, rtol=0)


def test_rotation_leaves_no_black_corners():
    assert_close(rotate(torch.ones(2, 3, 4, 16, 16), torch.tensor([10.0, 45.0])), torch.ones(2, 3, 4, 16, 16))


@pytest.mark.parametrize("padding", [0, 3])
def test_half_precision_is_accurate_to_a_third_of_a_level(padding):
    clips = random_clips()[..., : 56 - padding]
    boxes = BOXES.clamp(max=56 - padding - 1)
    boxes[:, 2:] = boxes[:, 2:].minimum(torch.tensor([40, 56 - padding]) - boxes[:, :2])
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 0.0])
    found = resample(clips, boxes, 16, None, sigma, torch.float16)
    assert found.dtype == torch.float16
    assert_close(found.float(), resample(clips, boxes, 16, None, sigma), atol=1 / 3 / 255, rtol=0)


@pytest.mark.parametrize("size", [8, 64, 130])
def test_resampling_in_bands_is_the_same(size):
    clips, flipped, sigma = random_clips(), torch.tensor([True, False] * 3), torch.tensor([0.0, 1.0, 2.0] * 2)
    expected = resample(clips, BOXES, size, flipped, sigma)
    for number in range(len(clips)):
        one = slice(number, number + 1)
        weights = matrices(BOXES[one], size, 40, 56, flipped[one], sigma[one])
        alone = resample_in_bands(clips[one], *weights)
        assert_close(alone, expected[one], atol=1e-5, rtol=0)
