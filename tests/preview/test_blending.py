import math

import pytest
import torch

from tbe.erasing import (
    BackgroundErasing,
    BackgroundSwap,
    ForegroundMerge,
    InterVideoErasing,
    NoiseErasing,
    add_static_frame,
)
from tbe.preview.blending import find_blend, still_weights
from tbe.preview.drawing import format_blend


def clips():
    return torch.randn(4, 3, 6, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_blended_frame_is_identified():
    weights, frames = torch.tensor([0.3, 0.01, 0.9, 0.0]), [5, 0, 2, 3]
    pictures = torch.stack([clip[:, frame : frame + 1] for clip, frame in zip(clips(), frames, strict=True)])
    distracted = add_static_frame(clips(), pictures, weights)
    assert still_weights(clips(), distracted).tolist() == pytest.approx(weights.tolist(), abs=1e-5)
    for number, (weight, frame) in enumerate(zip(weights.tolist(), frames, strict=True)):
        found = find_blend(clips(), distracted, number)
        assert found.weight == pytest.approx(weight, abs=1e-5)
        assert (found.source, found.frame) == ((number, frame) if weight else (-1, -1))


def test_background_erasing_adds_a_frame_of_the_clip_itself():
    torch.manual_seed(0)  # a weight below what counts as one is drawn now and then
    distracted = BackgroundErasing(ratio=0.5)(clips())
    found = [find_blend(clips(), distracted, number) for number in range(4)]
    assert [blend.source for blend in found] == [0, 1, 2, 3]
    assert all(0 < blend.weight <= 0.5 for blend in found)


def test_a_frame_of_another_video_is_named():
    distracted = InterVideoErasing(ratio=0.9)(clips())
    found = find_blend(clips(), distracted, 2)
    assert found.source in {0, 1, 3}
    words = format_blend(found, 2, ["a", "b", "c", "d"])
    assert words == f"+ {found.weight:.2f} x frame {found.frame + 1} of {'abcd'[found.source]}"


def test_noise_belongs_to_no_video():
    found = find_blend(clips(), NoiseErasing(ratio=0.3)(clips()), 1)
    assert 0 < found.weight <= 0.3
    assert format_blend(found, 1, ["a"] * 4) == f"+ {found.weight:.2f} x a picture from outside the batch"


def test_a_merged_clip_is_not_a_blend():
    found = find_blend(clips(), ForegroundMerge()(clips()), 0)
    assert math.isnan(found.weight)
    assert format_blend(found, 0, ["a"] * 4) == "part of it replaced by another picture"


def test_an_exchanged_background_is_named():
    swap = BackgroundSwap(ratio=0.6, min_ratio=0.6)
    distracted = swap(clips())
    assert still_weights(clips(), distracted).isnan().all()
    found = find_blend(clips(), distracted, 1)
    assert found.exchanged
    assert found.source == swap.owners[1]
    words = format_blend(found, 1, ["a", "b", "c", "d"])
    assert words == f"0.60 of its background exchanged for that of {'abcd'[found.source]}"
    brighter = find_blend(clips(), clips() + torch.rand(4, 3, 1, 16, 16), 1)  # of no clip of the batch
    assert math.isnan(brighter.weight)


def test_an_unchanged_still_clip_has_nothing_added():
    still = torch.rand(2, 3, 1, 8, 8).expand(2, 3, 5, 8, 8)
    assert format_blend(find_blend(still, still.clone(), 0), 0, ["a", "b"]) == "nothing added"
