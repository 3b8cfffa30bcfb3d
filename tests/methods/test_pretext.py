import pytest
import torch

from tbe.methods.broken_motion import play_backwards
from tbe.methods.pretext import ArrowOfTime, Flip, Pace, PretextMethod, Rotation
from tests.methods.networks import Mean

CLIPS = torch.rand(6, 3, 8, 4, 4)


def test_each_clip_is_turned_by_its_own_choice():
    choices = torch.tensor([0, 1, 2, 3, 1, 0])
    turned = Rotation()(CLIPS, choices)
    for clip, result, turns in zip(CLIPS, turned, choices.tolist(), strict=True):
        assert torch.equal(result, torch.rot90(clip, turns, (2, 3)))


def test_clips_are_mirrored_or_played_backwards_or_not():
    choices = torch.tensor([0, 1, 0, 1, 1, 0])
    for pretext, axis in ((Flip(), 3), (ArrowOfTime(), 1)):
        for clip, result, chosen in zip(CLIPS, pretext(CLIPS, choices), choices.tolist(), strict=True):
            assert torch.equal(result, clip.flip(axis) if chosen else clip)


def test_directions_of_optical_flow_turn_with_it():
    flow, choices = CLIPS[:, :2], torch.ones(6, dtype=torch.long)
    right, down = flow.unbind(1)
    assert torch.equal(Flip()(flow, choices), torch.stack([-right, down], dim=1).flip(4))
    assert torch.equal(ArrowOfTime()(flow, choices), -flow.flip(2))
    assert torch.equal(play_backwards(flow), -flow.flip(2))
    assert torch.equal(Rotation()(flow, choices), torch.stack([down, -right], dim=1).rot90(1, (3, 4)))


def test_paces_are_steps_of_frames_within_the_clip():
    clips = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(200, 1, 8, 1, 1)
    choices = torch.arange(200) % 2
    frames = Pace((1, 2))(clips, choices)[:, 0, :, 0, 0]
    assert frames.shape == (200, 4)
    assert (frames.diff(dim=1) == (choices + 1).unsqueeze(1)).all()
    assert set(frames[choices == 0, 0].tolist()) == {0, 1, 2, 3, 4}
    assert set(frames[choices == 1, 0].tolist()) == {0, 1}


def test_a_pretext_method_predicts_what_was_done():
    logits, targets = PretextMethod(Mean(), Rotation())(CLIPS)
    assert logits.shape == (6, 4)
    assert logits.dtype == torch.float32
    assert ((targets >= 0) & (targets < 4)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotation()(torch.rand(2, 3, 4, 5, 6), torch.zeros(2, dtype=torch.long)), "expected square clips"),
        (lambda: Pace((1,)), "at least two paces"),
        (lambda: Pace((1, 8))(CLIPS, torch.zeros(6, dtype=torch.long)), "at least 16 frames, got 8"),
    ],
)
def test_impossible_tasks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
