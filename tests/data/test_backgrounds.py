"""The background of a video is the median of what its masks spare."""

import numpy as np
import pytest
import torch

from tbe.data.backgrounds import NOBODY, background, choose_partners


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_the_background_is_the_lower_median_of_the_frames_that_no_dilated_mask_covers(share):
    frames, masks = torch.randint(0, 256, (8, 3, 12, 10), dtype=torch.uint8), torch.rand(8, 1, 12, 10) < share
    found = background(frames, masks)
    padded = np.pad(masks.squeeze(1).numpy(), ((0, 0), (1, 1), (1, 1)))
    for row in range(12):
        for column in range(10):
            spared = ~padded[:, row : row + 3, column : column + 3].any(axis=(1, 2))
            if spared.any():  # else it is filled from around
                seen = np.sort(frames[torch.from_numpy(spared), :, row, column].numpy(), axis=0)
                assert found[:, row, column].tolist() == seen[(len(seen) - 1) // 2].tolist()


def test_without_masks_or_where_all_is_covered_it_is_the_median_of_all_frames():
    frames = torch.randint(0, 256, (5, 3, 6, 6), dtype=torch.uint8)
    for masks in (None, torch.ones(5, 1, 6, 6, dtype=torch.bool)):
        assert torch.equal(background(frames, masks), frames.median(dim=0).values)


def test_with_a_single_class_no_background_is_of_another_one():
    places = {index: torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8) for index in range(4)}
    partners = choose_partners(places, np.zeros(4, dtype=np.int64), seed=0, ids=np.arange(4))
    for role in ("other_class", "close", "far", "still"):
        assert (partners[role] == NOBODY).all()
    assert (partners["same_class"] != NOBODY).all()
    assert (partners["any"] != np.arange(4)).all()
