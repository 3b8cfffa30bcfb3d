import pytest
import torch

from tbe.augment.turned import mirror, reverse, rotate


def moving(right: int, down: int) -> torch.Tensor:
    """Draws a point (1, 1, 4, 9, 9) that moves by so many pixels in each frame."""
    clip = torch.zeros(1, 1, 4, 9, 9)
    for frame in range(4):
        clip[0, 0, frame, 4 + down * (frame - 1), 4 + right * (frame - 1)] = 1
    return clip


def flow_of(clip: torch.Tensor) -> torch.Tensor:
    """Finds the motion (right, down) of the one point of a clip from its first frame to the next, in pixels."""
    (_, y, x), (_, next_y, next_x) = clip[0, 0].nonzero()[:2]
    return torch.stack([next_x - x, next_y - y]).float()


CHANGES = [mirror, reverse, *(lambda clips, turns=turns: rotate(clips, turns) for turns in range(-1, 5))]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("motion", [(1, 0), (0, 1), (-1, 1)])
def test_the_flow_of_a_changed_clip_is_the_changed_flow(change, motion):
    clip = moving(*motion)
    assert torch.equal(flow_of(clip), torch.tensor(motion, dtype=torch.float32))
    flow = flow_of(clip).view(1, 2, 1, 1, 1).expand(-1, -1, 4, 9, 9)
    assert torch.equal(change(flow)[0, :, 0, 0, 0], flow_of(change(clip)))


def test_places_and_times_of_flow_move_like_those_of_pictures():
    flow = torch.rand(2, 2, 3, 4, 4) + 0.1
    for change in CHANGES:
        assert torch.equal(change(flow).norm(dim=1), change(flow.norm(dim=1, keepdim=True))[:, 0])


def test_pictures_are_turned_alone():
    clips = torch.rand(2, 3, 4, 5, 5)
    assert torch.equal(mirror(clips), clips.flip(4))
    assert torch.equal(reverse(clips), clips.flip(2))
    assert torch.equal(rotate(clips, 3), clips.rot90(3, (3, 4)))
