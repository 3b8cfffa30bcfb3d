"""Each probe does to a clip with a known actor what it says."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tbe.data.medians import temporal_median
from tbe.evaluation import perturbations
from tbe.evaluation.perturbations import (
    ForegroundShare,
    PerturbationContext,
    moving_foreground,
    otsu_threshold,
)


def walking_actor(num_frames=12, size=32):
    """A bright square that crosses a textured background, and where it is: (1, 3, T, H, W), bool (1, 1, T, H, W)."""
    background = torch.rand(1, 3, 1, size, size, generator=torch.Generator().manual_seed(0)) / 4
    clip = background.expand(1, 3, num_frames, size, size).clone()
    mask = torch.zeros(1, 1, num_frames, size, size, dtype=torch.bool)
    for frame in range(num_frames):
        mask[..., frame, 12:20, 2 * frame : 2 * frame + 6] = True
    clip[mask.expand_as(clip)] = 1.0
    return clip, mask, background


def around(clip, mask, seed=0):
    generator = torch.Generator().manual_seed(seed)
    backdrop, of_class = torch.rand(2, *clip[:, :, :1].shape, generator=generator)
    order = torch.rand(len(clip), clip.shape[2], generator=generator).argsort(dim=1)
    return PerturbationContext(mask, backdrop, of_class, order, torch.ones(len(mask), dtype=torch.bool))


def test_the_share_of_the_foreground_is_that_of_its_pixels():
    masks = torch.zeros(2, 1, 4, 8, 8, dtype=torch.bool)
    masks[0, 0, :, :4] = True
    masks[1, 0, 0] = True
    none = torch.zeros(2, 3, 1, 8, 8)
    around = PerturbationContext(masks, none, none, torch.zeros(2, 4, dtype=torch.long), torch.tensor([True, False]))
    assert ForegroundShare()(torch.rand(2, 3, 4, 8, 8), around).tolist() == [[0.5, 1], [0.25, 0]]


def test_the_swap_keeps_the_actors_pixels_and_replaces_all_others():
    clip, mask, _ = walking_actor()
    surroundings = around(clip, mask)
    for another_class, backdrop in ((False, surroundings.backdrop), (True, surroundings.backdrop_of_class)):
        swapped = perturbations.BackgroundSwap(another_class)(clip, surroundings)
        kept = mask.expand_as(clip)
        assert torch.equal(swapped[kept], clip[kept])
        assert torch.equal(swapped[~kept], backdrop.expand_as(clip)[~kept])


def test_without_the_foreground_the_background_is_left_alone():
    clip, mask, background = walking_actor()
    surroundings = around(clip, mask)
    assert_close(perturbations.ForegroundRemoved()(clip, surroundings), background.expand_as(clip))
    assert_close(perturbations.Median()(clip, surroundings), background.expand_as(clip))


def test_the_foreground_alone_is_on_gray():
    clip, mask, _ = walking_actor()
    alone = perturbations.ForegroundOnly()(clip, around(clip, mask))
    assert torch.equal(alone[mask.expand_as(clip)], clip[mask.expand_as(clip)])
    assert not alone[~mask.expand_as(clip)].any()


def test_static_clips_have_no_motion_left():
    clip, mask, _ = walking_actor()
    for probe in (perturbations.Static(), perturbations.Median()):
        assert not probe(clip, around(clip, mask)).diff(dim=2).any()
    assert torch.equal(perturbations.Static()(clip, around(clip, mask))[:, :, 0], clip[:, :, 6])


def test_order_is_all_that_shuffling_and_reversing_change():
    clip, mask, _ = walking_actor()
    surroundings = around(clip, mask)
    shuffled = perturbations.Shuffled()(clip, surroundings)
    assert not torch.equal(shuffled, clip)
    assert torch.equal(shuffled, clip[:, :, surroundings.order[0]])
    assert torch.equal(perturbations.Reversed()(perturbations.Reversed()(clip, surroundings), surroundings), clip)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
def test_added_frames_have_the_given_weight(weight):
    clip, mask, _ = walking_actor()
    surroundings = around(clip, mask)
    chosen = clip[:, :, surroundings.order[0, :1]]
    assert_close(perturbations.AddedFrame(weight)(clip, surroundings), (1 - weight) * clip + weight * chosen)
    expected = (1 - weight) * clip + weight * surroundings.backdrop
    assert_close(perturbations.AddedBackdrop(weight)(clip, surroundings), expected)


def test_every_probe_keeps_the_shape_and_leaves_its_input():
    clip, mask, _ = walking_actor()
    before = clip.clone()
    found = [
        perturbations.Clean(),
        perturbations.Static(),
        perturbations.Median(),
        perturbations.Shuffled(),
        perturbations.Reversed(),
    ]
    found += [
        perturbations.BackgroundSwap(),
        perturbations.ForegroundRemoved(),
        perturbations.ForegroundOnly(),
        perturbations.AddedFrame(0.5),
    ]
    for probe in found:
        assert probe(clip, around(clip, mask)).shape == clip.shape
    assert torch.equal(clip, before)


def test_moving_regions_are_found_and_static_ones_are_not():
    clip, mask, _ = walking_actor()
    found = moving_foreground(clip)
    assert found.shape == mask.shape
    assert (found & mask).sum() / mask.sum() > 0.95
    assert (found & mask).sum() / found.sum() > 0.5  # it is widened
    assert not moving_foreground(temporal_median(clip).expand_as(clip)).any()


def test_each_clip_of_a_batch_has_its_own_threshold():
    clip, _, _ = walking_actor()
    faint = clip * 0.01
    assert torch.equal(moving_foreground(torch.cat([clip, faint]))[1:], moving_foreground(faint))


def test_the_threshold_is_otsus():
    values = torch.cat([torch.rand(2, 300) * 0.3, 0.6 + torch.rand(2, 100) * 0.4], dim=1)
    for row, threshold in zip(values, otsu_threshold(values), strict=True):
        cuts = np.arange(1, 64) / 64
        within = [_within(row.numpy(), cut) for cut in cuts]
        assert _within(row.numpy(), float(threshold)) <= min(within) * 1.02
        assert 0.28 < threshold < 0.62


def _within(values, cut):
    """The variance within the two parts, times the number of values."""
    return sum(len(part) * part.var() for part in (values[values < cut], values[values >= cut]) if len(part))
