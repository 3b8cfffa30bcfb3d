"""Which places are hidden."""

import pytest
import torch

from tbe.errors import UserError
from tbe.methods.masked import masks
from tbe.methods.masked.masks import random_blocks, random_tubes

CPU = torch.device("cpu")


def hidden_frames(split, grid):
    """A mask (B, t, h, w) of what is hidden, if all tokens are either seen or hidden, each once."""
    both = torch.cat(split, dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(grid[0] * grid[1] * grid[2]).expand_as(both))
    mask = torch.zeros(both.shape, dtype=torch.bool).scatter(1, split.hidden, True)
    return mask.view(-1, *grid)


@pytest.mark.parametrize("blocks", [None, (8, 0.15), (2, 0.7)])
def test_nine_tenths_of_the_places_are_hidden_the_same_in_all_frames_and_others_in_each_clip(blocks):
    torch.manual_seed(0)
    grid = (8, 14, 14)
    split = random_blocks(4, grid, 0.9, *blocks, CPU) if blocks else random_tubes(4, grid, 0.9, CPU)
    mask = hidden_frames(split, grid)
    assert mask[:, 0].flatten(1).sum(dim=1).tolist() == [176] * 4  # of 196, as VideoMAE's
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    assert len({tuple(clip.flatten().tolist()) for clip in mask[:, 0]}) == 4


def test_a_block_is_hidden_as_a_whole(monkeypatch):
    monkeypatch.setattr(masks, "ASPECTS", (1.0, 1.0))
    mask = hidden_frames(random_blocks(20, (2, 10, 10), 0.25, 1, 0.25, CPU), (2, 10, 10))[:, 0]
    for clip in mask:
        rows, columns = clip.any(dim=1), clip.any(dim=0)
        assert rows.sum() == columns.sum() == 5
        assert clip.sum() == 25


def test_of_the_hidden_places_those_that_blocks_cover_are_predicted(monkeypatch):
    monkeypatch.setattr(masks, "ASPECTS", (1.0, 1.0))
    grid = (2, 10, 10)
    seen, predicted = random_blocks(20, grid, 0.6, 1, 0.25, CPU, predicted=0.25)
    assert (seen.shape, predicted.shape) == ((20, 2 * 40), (20, 2 * 25))
    assert not (seen.unsqueeze(2) == predicted.unsqueeze(1)).any()
    for clip in torch.zeros(20, 200, dtype=torch.bool).scatter(1, predicted, True).view(-1, *grid):
        assert torch.equal(clip[0], clip[1])
        assert clip[0].any(dim=1).sum() == clip[0].any(dim=0).sum() == 5  # a square of 25: nothing beside the block


def test_a_share_of_the_hidden_places_is_predicted_or_all_of_them():
    torch.manual_seed(0)
    whole, part = (random_blocks(400, (1, 14, 14), 0.9, 8, 0.15, CPU, predicted) for predicted in (None, 0.6))
    assert (whole.hidden.shape[1], part.hidden.shape[1]) == (176, 118)
    with_all = random_blocks(400, (1, 14, 14), 0.2, 8, 0.15, CPU, 0.9)
    assert with_all.hidden.shape[1] == 39  # no more than are hidden


def test_one_place_is_always_seen_and_one_hidden():
    for ratio in (0.01, 0.99):
        split = random_tubes(2, (3, 2, 1), ratio, CPU)
        assert [part.shape for part in split] == [(2, 3), (2, 3)]
    with pytest.raises(UserError, match="at least two tubelets a frame.*got 1: set a larger clip.size"):
        random_tubes(2, (3, 1, 1), 0.9, CPU)
