"""RandAugment: its operations are torchvision's, and a clip is changed as a whole."""

import pytest
import torch
import torchvision.transforms.v2.functional as theirs
from PIL import ImageEnhance
from torch.testing import assert_close

from tbe.augment.rand_augment import RandAugment
from tbe.augment.rand_operations import OPERATIONS, equalize, invert, posterize, sharpen, solarize, stretch_contrast
from tbe.errors import UserError


def clips(height=12, width=16):
    draws = torch.Generator().manual_seed(0)
    return torch.randint(20, 220, (3, 3, 2, height, width), generator=draws).float() / 255


@pytest.mark.parametrize(
    ("ours", "amount", "reference"),
    [
        (posterize, 2.4, lambda frame: theirs.posterize(frame, bits=2)),
        (solarize, 0.4, lambda frame: theirs.solarize(frame, threshold=153)),
        (invert, 1.0, theirs.invert),
        (stretch_contrast, 1.0, theirs.autocontrast),
        (equalize, 1.0, theirs.equalize),
    ],
)
def test_an_operation_is_that_of_torchvision_on_each_frame(ours, amount, reference):
    many = clips(160, 200)  # pixels: what equalizes counts them by 255ths
    for clip, given in zip(ours(many, torch.full((3,), amount)), many, strict=True):
        for frame in range(2):
            expected = reference((255 * given[:, frame]).round().byte()).float() / 255
            # Of posterized colors the levels are equal, but are those of 2 bits and not of 8.
            assert_close(clip[:, frame], expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("amount", [0.63, -0.63])
def test_sharpening_is_as_strong_as_that_of_pil(amount):
    many = clips()
    for clip, given in zip(sharpen(many, torch.full((3,), amount)), many, strict=True):
        pixels = (255 * given[:, 0]).round().byte()
        expected = ImageEnhance.Sharpness(theirs.to_pil_image(pixels)).enhance(1 + amount)
        assert_close(clip[:, 0], theirs.pil_to_tensor(expected).float() / 255, atol=0.01, rtol=0)


def test_a_clip_that_is_all_border_is_not_sharpened():
    thin = clips(height=2)
    assert torch.equal(sharpen(thin, torch.full((3,), 0.9)), thin)


def test_sharpening_moves_away_from_the_neighbors_and_its_opposite_to_them():
    one = torch.full((1, 3, 1, 5, 5), 0.5)
    one[..., 2, 2] = 0.6
    sharp, blurred = (sharpen(one, torch.tensor([amount]))[0, 0, 0] for amount in (0.9, -0.9))
    assert blurred[2, 2] < 0.6 < sharp[2, 2]
    assert sharp[2, 1] < 0.5 < blurred[2, 1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_all_frames_of_a_clip_are_changed_alike_and_stay_in_range(operation):
    still = clips()[:, :, :1].expand(-1, -1, 4, -1, -1)
    found = operation.change(still, torch.full((3,), operation.extent))
    assert_close(found, found[:, :, :1].expand_as(found))
    assert not torch.allclose(found, still, atol=1e-3)
    assert found.min() >= -1e-6
    assert found.max() <= 1 + 1e-6


def test_each_clip_has_operations_of_its_own_and_those_without_any_stay_as_they_are():
    torch.manual_seed(0)
    changes = RandAugment(num_ops=3, prob=1.0).draw(50, torch.device("cpu"))
    applied = torch.stack([change.amounts != 0 for change in changes])
    assert applied.sum(dim=0).tolist() == [3] * 50
    assert len({tuple(row.tolist()) for row in applied.T}) > 40
    rarely = RandAugment(num_ops=1, prob=0.5).draw(3, torch.device("cpu"))
    untouched = ~torch.stack([change.amounts != 0 for change in rarely]).any(dim=0)
    changed = clips()
    for change in rarely:
        change.adjust_(changed, change.amounts)
    same = torch.tensor([torch.equal(now, before) for now, before in zip(changed, clips(), strict=True)])
    assert torch.equal(same, untouched)
    assert 0 < untouched.sum() < 3


@pytest.mark.parametrize(("magnitude", "deviation"), [(7.0, 0.5), (4.0, 1.0), (5.0, 0.0)])
def test_strengths_are_spread_around_the_magnitude_by_the_deviation(magnitude, deviation):
    torch.manual_seed(0)
    augment = RandAugment(len(OPERATIONS), magnitude, deviation, prob=1.0)
    amounts = {change.adjust_.args[0]: change.amounts for change in augment.draw(400, torch.device("cpu"))}
    strengths = torch.stack([10 * amounts[operation.change] / operation.extent for operation in OPERATIONS])
    assert strengths.abs().mean().item() == pytest.approx(magnitude, abs=0.1)
    assert strengths.abs().std(dim=1).tolist() == pytest.approx([deviation] * len(OPERATIONS), abs=0.15)
    weakened = (strengths < 0).float().mean(dim=1)
    for share, operation in zip(weakened.tolist(), OPERATIONS, strict=True):
        assert 0.4 < share < 0.6 if operation.is_signed else share == 0


def test_so_many_operations_are_chosen_and_each_is_applied_with_its_probability():
    torch.manual_seed(0)
    changes = RandAugment(num_ops=5, prob=0.4).draw(400, torch.device("cpu"))
    applied = torch.stack([change.amounts != 0 for change in changes]).sum(dim=0)
    assert applied.max() == 5
    assert applied.float().mean().item() == pytest.approx(5 * 0.4, abs=0.15)


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UserError, match="num_ops from 1 to 15 and magnitude from 0 to 10, got 16 and 7"):
        RandAugment(num_ops=16)
    with pytest.raises(UserError, match=r"prob in \[0, 1\], got 0.5, 2"):
        RandAugment(prob=2)
