from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tbe import BackgroundErasing
from tbe.config import build, plain
from tbe.data.medians import temporal_median
from tbe.erasing import (
    BackgroundSwap,
    ForegroundMerge,
    InterVideoErasing,
    NoiseErasing,
    add_static_frame,
    draw_weights,
    moving_mask,
    random_frames,
)
from tests.conftest import composed


def naive(clips, chosen, weights):
    """The paper's formula, one pixel row at a time."""
    mixed = clips.clone()
    for clip, k, weight in zip(mixed, chosen, weights, strict=True):
        static = clip[:, k].clone()
        for j in range(clip.shape[1]):
            clip[:, j] = (1 - weight) * clip[:, j] + weight * static
    return mixed


def test_mixing_equals_the_formula_written_as_a_loop():
    clips, chosen, weights = torch.randn(4, 3, 5, 6, 7), torch.tensor([0, 4, 2, 2]), torch.rand(4)
    frames = torch.stack([clip[:, k : k + 1] for clip, k in zip(clips, chosen, strict=True)])
    assert_close(add_static_frame(clips, frames, weights), naive(clips, chosen, weights))


def test_motion_keeps_its_direction():
    clips = torch.rand(4, 3, 6, 8, 8)
    kept = BackgroundErasing(ratio=0.5)(clips).diff(dim=2) / clips.diff(dim=2)
    shares = kept.flatten(1).median(dim=1).values  # one factor for each clip
    assert (shares >= 0.5).all()
    assert len(shares.unique()) == 4
    assert_close(kept, shares.view(-1, 1, 1, 1, 1).expand_as(kept), atol=1e-2, rtol=0)


def test_the_added_frame_is_one_of_the_clip():
    clips = torch.rand(16, 3, 6, 8, 8)
    frames = random_frames(clips)
    matches = (frames == clips).flatten(3).all(dim=3).all(dim=1)  # (B, T)
    assert (matches.sum(dim=1) == 1).all()
    assert len(matches.int().argmax(dim=1).unique()) > 2


def test_weights_are_uniform_up_to_the_ratio():
    weights = draw_weights(20_000, ratio=0.3, prob=1.0, device=torch.device("cpu"))
    assert weights.min() >= 0
    assert weights.max() <= 0.3
    assert_close(weights.mean(), torch.tensor(0.15), atol=5e-3, rtol=0)
    assert_close(weights.var(), torch.tensor(0.3**2 / 12), atol=5e-4, rtol=0)


def test_weights_can_have_a_lower_bound_that_changes_no_other_draw():
    device, drawn = torch.device("cpu"), []
    for min_ratio in (0.0, 0.4, 0.5):
        torch.manual_seed(0)
        drawn.append(draw_weights(1000, ratio=0.5, prob=0.5, device=device, min_ratio=min_ratio))
    usual, above, still = drawn
    added = usual > 0
    assert_close(above[added], 0.4 + usual[added] / 5)
    assert_close(still, 0.5 * added)
    assert (above[~added] == 0).all()
    with pytest.raises(ValueError, match="expected min_ratio from 0 to ratio, 0.3, got 0.4"):
        BackgroundErasing(ratio=0.3, min_ratio=0.4)


def test_stillmix_adds_another_clips_frame_at_half_weight_to_half_of_the_clips():
    config = plain(composed("train", "variant=stillmix", run_dir="."))
    assert config["method"]["negative"] == "none"
    clips = torch.arange(64.0).view(64, 1, 1, 1, 1).expand(64, 3, 4, 2, 2)
    torch.manual_seed(0)
    added = (build(config["be"])(clips) - clips)[:, 0, 0, 0, 0]
    kept = added == 0
    assert 16 < kept.sum() < 48
    others = (clips[:, 0, 0, 0, 0] + 2 * added)[~kept]  # each is half way to the clip whose frame was added
    shift = (others - torch.arange(64.0)[~kept]) % 64
    assert (shift == shift[0]).all()


def test_prob_is_the_share_of_clips_that_are_distracted():
    weights = draw_weights(20_000, ratio=0.3, prob=0.25, device=torch.device("cpu"))
    assert_close((weights > 0).float().mean(), torch.tensor(0.25), atol=0.015, rtol=0)


@pytest.mark.parametrize("settings", [{"ratio": 0.0}, {"prob": 0.0}])
def test_nothing_is_added_when_off(settings):
    clips = torch.rand(2, 3, 4, 5, 5)
    assert BackgroundErasing(**settings)(clips) is clips


def test_input_stays_as_it_was():
    clips = torch.rand(2, 3, 4, 5, 5)
    before = clips.clone()
    assert not torch.equal(BackgroundErasing()(clips), before)
    assert torch.equal(clips, before)


@pytest.mark.parametrize("erasing", [BackgroundErasing, InterVideoErasing, NoiseErasing])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_in_place_the_clips_hold_what_a_new_tensor_would(erasing, dtype):
    clips = (torch.rand(3, 3, 4, 5, 5) * 255).to(dtype)
    torch.manual_seed(1)
    expected = erasing()(clips)
    torch.manual_seed(1)
    assert erasing(inplace=True)(clips) is clips
    assert torch.equal(clips, expected)


def test_commutes_with_normalization():
    clips, weights = torch.rand(3, 3, 4, 5, 5), torch.rand(3)
    frames = clips[:, :, 1:2]
    normalized = add_static_frame((clips - 0.4) / 0.2, (frames - 0.4) / 0.2, weights)
    assert_close((add_static_frame(clips, frames, weights) - 0.4) / 0.2, normalized)


def test_bytes_stay_bytes_and_are_rounded():
    clips, weights = torch.randint(0, 256, (3, 3, 4, 5, 5), dtype=torch.uint8), torch.rand(3)
    mixed = add_static_frame(clips, clips[:, :, :1], weights)
    assert mixed.dtype == torch.uint8
    exact = add_static_frame(clips.double(), clips[:, :, :1].double(), weights)
    assert (mixed.double() - exact).abs().max() <= 0.5 + 1e-4
    assert BackgroundErasing()(clips).dtype == torch.uint8


def test_half_precision_keeps_its_type():
    assert BackgroundErasing()(torch.rand(2, 3, 4, 5, 5, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_a_seed_decides():
    clips, erase = torch.rand(2, 3, 4, 5, 5), BackgroundErasing()
    torch.manual_seed(3)
    first = erase(clips)
    torch.manual_seed(3)
    assert torch.equal(first, erase(clips))


@pytest.mark.parametrize("settings", [{"ratio": -0.1}, {"ratio": 1.1}, {"prob": 2}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="expected .* from 0 to 1"):
        BackgroundErasing(**settings)


def test_clips_without_time_are_refused():
    with pytest.raises(ValueError, match=r"expected clips \(B, C, T, H, W\), got shape \(2, 3, 8, 8\)"):
        BackgroundErasing()(torch.rand(2, 3, 8, 8))


def test_the_inter_video_distractor_adds_another_clips_frame_to_each():
    clips = torch.arange(5.0).view(5, 1, 1, 1, 1).expand(5, 3, 4, 6, 6)
    for _ in range(20):
        added = InterVideoErasing().sample_frame(clips)[:, 0, 0, 0, 0]
        assert sorted(added.tolist()) == [0, 1, 2, 3, 4]
        assert (added != torch.arange(5.0)).all()


def test_the_inter_video_distractor_says_whose_frame_it_added():
    clips = torch.arange(6.0).view(6, 1, 1, 1, 1).expand(6, 3, 4, 2, 2)
    erase = InterVideoErasing(ratio=0.5, min_ratio=0.5)
    added = 2 * erase(clips)[:, 0, 0, 0, 0] - torch.arange(6.0)
    assert erase.owners.shape == (6, 1)
    assert_close(added, erase.owners[:, 0].float())
    merge = ForegroundMerge(foreground=0.01)
    assert_close(merge(clips)[:, 0, 0, -1, -1], merge.owners[:, 0].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bfloat16])
def test_frames_of_several_other_videos_are_averaged(dtype):
    clips = (2.0 ** torch.arange(6)).to(dtype).view(6, 1, 1, 1, 1).expand(6, 3, 4, 2, 2)
    erase = InterVideoErasing(ratio=1.0, min_ratio=1.0, num_videos=3)
    added = erase(clips)[:, 0, 0, 0, 0]
    for i, mine in enumerate(erase.owners.tolist()):
        assert len({i, *mine}) == 4  # different ones, and none its own
        mean = torch.tensor(sum(2.0**j for j in mine) / 3)
        assert_close(added[i].float(), mean, atol=0.5, rtol=0 if dtype == torch.uint8 else 0.01)
    with pytest.raises(ValueError, match="at least 4 clips to take a frame of 3 others, got 3"):
        erase(clips[:3])
    with pytest.raises(ValueError, match="expected num_videos of at least 1, got 0"):
        InterVideoErasing(num_videos=0)


def test_weights_from_beta_have_its_mean_and_variance_between_the_bounds():
    torch.manual_seed(0)
    weights = draw_weights(20_000, 0.9, 1.0, torch.device("cpu"), min_ratio=0.1, beta=(4.0, 2.0))
    assert weights.min() >= 0.1
    assert weights.max() <= 0.9
    assert_close(weights.mean(), torch.tensor(0.1 + 0.8 * 4 / 6), atol=5e-3, rtol=0)
    assert_close(weights.var(), torch.tensor(0.8**2 * 8 / (36 * 7)), atol=1e-3, rtol=0)
    for beta in ([1.0], [0.0, 1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="expected beta to be null or two numbers above 0, got"):
            BackgroundErasing(beta=beta)


def test_the_inter_video_distractor_needs_another_clip():
    with pytest.raises(ValueError, match="at least 2 clips .*, got 1"):
        InterVideoErasing()(torch.rand(1, 3, 4, 6, 6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bfloat16])
@pytest.mark.parametrize(
    "distractor",
    [partial(BackgroundErasing, beta=(2, 1)), InterVideoErasing, NoiseErasing, ForegroundMerge, BackgroundSwap],
)
def test_compiles_to_one_graph(distractor, dtype):
    torch.compiler.reset()  # or the variants of the tests before count as recompilations
    clips, erase = (255 * torch.rand(2, 3, 4, 16, 16)).to(dtype), distractor()
    compiled = torch.compile(erase, fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)
    expected = erase(clips)
    torch.manual_seed(0)
    # Older versions of torch, 2.6 among them, break the graph at int() of a tensor unless they are told not to.
    with torch._dynamo.config.patch(capture_scalar_outputs=True):
        found = compiled(clips)
    assert found.dtype == dtype
    assert_close(found, expected)


def test_a_weight_can_be_drawn_once_for_the_batch():
    clips = torch.rand(4, 3, 6, 8, 8)
    kept = BackgroundErasing(ratio=0.5, per="batch")(clips).diff(dim=2) / clips.diff(dim=2)
    shares = kept.flatten(1).median(dim=1).values
    assert_close(shares, shares[:1].expand(4), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="per to be clip or batch, got 'video'"):
        BackgroundErasing(per="video")


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_noise_has_the_clips_mean_and_deviation(dtype):
    clips = (60 + 20 * torch.randn(4, 3, 6, 40, 40)).clamp(0, 255).to(dtype)
    pictures = NoiseErasing().sample_frame(clips)
    assert pictures.shape == (4, 3, 1, 40, 40)
    assert pictures.dtype == dtype
    assert_close(pictures.float().mean(), torch.tensor(60.0), atol=1, rtol=0)
    assert_close(pictures.float().std(), torch.tensor(20.0), atol=1, rtol=0)


def squares_that_move():
    """Two clips of a square moving to the right over a background of their own, and where it was."""
    clips = torch.stack([torch.full((3, 6, 32, 32), 0.2), torch.full((3, 6, 32, 32), 0.7)])
    where = torch.zeros(2, 32, 32, dtype=torch.bool)
    for frame in range(6):
        for clip, top in ((0, 4), (1, 18)):
            clips[clip, :, frame, top : top + 8, 4 + 2 * frame : 12 + 2 * frame] = 1.0
            where[clip, top : top + 8, 4 + 2 * frame : 12 + 2 * frame] = True
    return clips, where


def test_moving_regions_are_found():
    clips, where = squares_that_move()
    mask = moving_mask(clips, share=0.25)
    assert (mask.flatten(1).sum(dim=1) == 256).all()
    assert (mask & where).sum() > 0.9 * where.sum()


def test_merging_keeps_the_actor_and_replaces_the_background():
    clips, _ = squares_that_move()
    merged = ForegroundMerge(foreground=0.25)(clips)
    mask = moving_mask(clips, 0.25)
    for clip, other in ((0, 1), (1, 0)):
        assert torch.equal(merged[clip][:, :, mask[clip]], clips[clip][:, :, mask[clip]])
        assert torch.equal(merged[clip][:, :, ~mask[clip]], clips[other][:, :, ~mask[clip]])
    assert torch.equal(ForegroundMerge(prob=0.0)(clips), clips)
    with pytest.raises(ValueError, match="at least 2 frames, of which some parts move, got 1"):
        ForegroundMerge()(clips[:, :, :1])


def test_swapping_exchanges_what_stands_still_and_keeps_what_moves():
    still = torch.tensor([0.2, 0.7])  # of each clip; the squares are brighter by 0.8 and 0.3
    clips = still.view(2, 1, 1, 1, 1).repeat(1, 3, 6, 12, 12)
    for frame in range(6):
        clips[:, :, frame, :4, 2 * frame : 2 * frame + 2] = 1.0
    swapped = BackgroundSwap(ratio=1.0, min_ratio=1.0)(clips)
    for clip, other in ((0, 1), (1, 0)):
        moves = clips[clip] == 1.0
        assert_close(swapped[clip][~moves], still[other].expand(int((~moves).sum())))
        assert_close(swapped[clip][moves], (1.0 - still[clip] + still[other]).expand(int(moves.sum())))
    assert torch.equal(BackgroundSwap(prob=0.0)(clips), clips)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bfloat16])
def test_swapping_equals_the_formula_written_with_numpy(dtype):
    clips = (255 * torch.rand(5, 3, 7, 6, 6)).to(dtype)
    swap = BackgroundSwap(ratio=0.8, min_ratio=0.8)
    found = swap(clips)
    assert sorted(swap.owners[:, 0].tolist()) == [0, 1, 2, 3, 4]
    values = clips.double().numpy()
    medians = np.median(values, axis=2, keepdims=True)
    expected = values + 0.8 * (medians[swap.owners[:, 0]] - medians)
    expected = np.clip(expected, 0, 255) if dtype == torch.uint8 else expected
    assert found.dtype == dtype
    assert np.abs(found.double().numpy() - expected).max() <= {torch.uint8: 0.501, torch.bfloat16: 3.0}.get(dtype, 1e-3)
    inplace = clips.clone()
    assert BackgroundSwap(inplace=True)(inplace) is inplace
    assert not torch.equal(inplace, clips)


def test_a_picture_that_is_expanded_to_a_clip_is_its_own_median():
    pictures = torch.rand(3, 3, 1, 5, 7)
    clips = pictures.expand(-1, -1, 8, -1, -1)
    assert torch.equal(temporal_median(clips), pictures)
    swap = BackgroundSwap(ratio=1.0, min_ratio=1.0)
    swapped = swap(clips)
    assert_close(swapped, pictures[swap.owners[:, 0]].expand_as(clips))


def test_swapping_needs_another_clip():
    with pytest.raises(ValueError, match="at least 2 clips .*, got 1"):
        BackgroundSwap()(torch.rand(1, 3, 4, 6, 6))
