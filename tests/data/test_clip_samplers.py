import pytest
import torch

from tbe.data.clip_samplers import AnchorAndNegativeClips, RandomClip, UniformClips


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_a_random_clip_reaches_every_start_and_no_further():
    sampler = RandomClip(num_frames=3, stride=3)
    starts = {sampler(9, seeded(seed))[0, 0].item() for seed in range(100)}
    assert starts == {0, 1, 2}
    assert sampler(9, seeded(0)).diff().unique().tolist() == [3]


@pytest.mark.parametrize(("short", "expected"), [("loop", [0, 2, 4, 1, 3]), ("pad", [0, 2, 4, 4, 4])])
def test_a_short_video_loops_or_is_padded(short, expected):
    assert RandomClip(5, 2, short)(5).tolist() == [expected]


def test_uniform_clips_are_spread_from_the_first_to_the_last_start():
    assert UniformClips(4, 2, num_clips=3)(17)[:, 0].tolist() == [0, 5, 10]
    assert UniformClips(4, 2, num_clips=1)(17)[:, 0].tolist() == [5]
    assert UniformClips(4, 2, num_clips=10)(3).shape == (10, 4)


def test_the_other_clip_is_far_enough_and_reaches_everywhere():
    sampler, length = AnchorAndNegativeClips(4, 2, min_shift=2), 20
    seen = set()
    for seed in range(500):
        anchor, other = sampler(length, seeded(seed))[:, 0].tolist()
        assert abs(anchor - other) >= 4
        assert max(anchor, other) + 6 < length
        seen.add(other)
    assert seen == set(range(14))


@pytest.mark.parametrize("short", ["loop", "pad"])
def test_the_anchor_is_the_same_with_and_without_a_second_clip(short):
    sampler = AnchorAndNegativeClips(4, 3, short)
    for length in (1, 5, 12, 40, 300):
        assert torch.equal(sampler.anchor()(length, seeded(length)), sampler(length, seeded(length))[:1])


def test_in_a_short_video_the_other_clip_starts_a_third_later():
    for seed in range(20):
        anchor, other = AnchorAndNegativeClips(8, 2)(17, seeded(seed))[:, 0].tolist()
        assert other == (anchor + 5) % 17


@pytest.mark.parametrize("length", [1, 2, 5, 16, 100])
@pytest.mark.parametrize("short", ["loop", "pad"])
@pytest.mark.parametrize("sampler", [RandomClip, UniformClips, AnchorAndNegativeClips])
def test_indices_stay_within_the_video(sampler, short, length):
    for seed in range(10):
        indices = sampler(8, 2, short)(length, seeded(seed))
        assert indices.dtype == torch.long
        assert indices.shape[1] == 8
        assert indices.min() >= 0
        assert indices.max() < length


def test_equal_generators_draw_equal_clips():
    sampler = AnchorAndNegativeClips(4, 2)
    assert torch.equal(sampler(100, seeded(5)), sampler(100, seeded(5)))
    assert not torch.equal(sampler(100, seeded(5)), sampler(100, seeded(6)))


@pytest.mark.parametrize(
    "settings", [{"num_frames": 0}, {"num_frames": 4, "stride": 0}, {"num_frames": 4, "short": "cut"}]
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        RandomClip(**settings)


def test_an_empty_video_is_refused():
    with pytest.raises(ValueError, match="at least 1 frame, got 0"):
        RandomClip(4)(0)


def test_both_clips_of_a_video_of_one_frame_are_that_frame():
    assert AnchorAndNegativeClips(4)(1).tolist() == [[0, 0, 0, 0]] * 2
