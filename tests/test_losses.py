import math

import pytest
import torch
from torch.testing import assert_close

from tbe.losses import InfoNCE


def test_equals_cross_entropy_by_hand():
    positives, negatives, tau = torch.rand(5), torch.rand(5, 7), 0.07
    total = 0.0
    for positive, others in zip(positives.tolist(), negatives.tolist(), strict=True):
        weights = [math.exp(value / tau) for value in (positive, *others)]
        total -= math.log(weights[0] / sum(weights))
    assert_close(InfoNCE(tau)(positives, negatives), torch.tensor(total / 5), rtol=1e-4, atol=1e-5)


def test_equal_similarities_cost_the_logarithm_of_the_choices():
    assert_close(InfoNCE()(torch.ones(3), torch.ones(3, 9)), torch.tensor(math.log(10)))


def test_pulls_the_positive_and_pushes_the_negatives():
    positives, negatives = torch.zeros(2, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    InfoNCE()(positives, negatives).backward()
    assert (positives.grad < 0).all()
    assert (negatives.grad > 0).all()


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature above 0, got 0"):
        InfoNCE(0)
