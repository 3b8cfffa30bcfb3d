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


def test_one_place_is_always_seen_and_one_hidden():
    for ratio in (0.01, 0.99):
        split = random_tubes(2, (3, 2, 1), ratio, CPU)
        assert [part.shape for part in split] == [(2, 3), (2, 3)]
    with pytest.raises(UserError, match="at least two tubelets a frame.*got 1: set a larger clip.size"):
        random_tubes(2, (3, 1, 1), 0.9, CPU)
