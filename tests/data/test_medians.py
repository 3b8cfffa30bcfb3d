"""The median of few frames is that of a sort of each pixel, however it is found."""

import pytest
import torch

from tbe.data.medians import FEW, in_order, median_of_frames, temporal_median


@pytest.mark.parametrize("num_frames", [1, 2, 5, 9])
def test_frames_in_order_are_those_that_a_sort_of_each_pixel_gives(num_frames):
    frames = torch.randint(0, 256, (num_frames, 3, 8, 9), dtype=torch.uint8)
    before = frames.clone()
    assert torch.equal(in_order(frames), frames.sort(dim=0).values)
    assert torch.equal(frames, before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_frames", [1, 4, 7, FEW, FEW + 1])
def test_the_median_is_the_lower_one_of_the_two_in_the_middle(num_frames, dtype):
    clips = (255 * torch.rand(2, 3, num_frames, 5, 4)).to(dtype)
    expected = clips.sort(dim=2).values[:, :, [(num_frames - 1) // 2]]
    assert torch.equal(temporal_median(clips), expected)
    assert torch.equal(median_of_frames(clips[0].movedim(1, 0)), expected[0].movedim(1, 0))


@pytest.mark.parametrize("num_frames", [8, FEW + 1])
def test_a_picture_that_is_expanded_to_a_clip_is_its_own_median(num_frames):
    pictures = torch.rand(3, 3, 1, 5, 7)
    assert torch.equal(temporal_median(pictures.expand(-1, -1, num_frames, -1, -1)), pictures)
