import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tbe.methods.consistency import Consistency


class Identity(nn.Module):
    """Features that are the clips themselves."""

    def forward_features(self, clips):
        return clips

    def forward(self, clips):
        return clips.mean(dim=(2, 3, 4))


def test_is_the_mean_squared_difference_of_pooled_features():
    clips, distracted = torch.rand(2, 2, 3, 4, 5, 5)
    expected = 3 * ((distracted.mean(dim=(2, 3, 4)) - clips.mean(dim=(2, 3, 4))) ** 2).mean()
    assert_close(Consistency(3.0)(Identity(), distracted, clips), expected)


def test_inversion_compares_each_moment_with_itself():
    clips = torch.rand(2, 3, 4, 5, 5)
    assert Consistency(temporal_inversion=True)(Identity(), clips, clips) == 0
    assert Consistency(temporal_inversion=True)(Identity(), clips.flip(2), clips) > 0.001
    assert Consistency()(Identity(), clips.flip(2), clips) < 1e-10  # pooled over time there is no direction


def test_gradient_reaches_both_clips():
    clips, distracted = torch.rand(2, 3, 4, 5, 5, requires_grad=True), torch.rand(2, 3, 4, 5, 5, requires_grad=True)
    Consistency()(Identity(), distracted, clips).backward()
    assert clips.grad.abs().sum() > 0
    assert distracted.grad.abs().sum() > 0


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="weight of at least 0, got -1"):
        Consistency(-1)
