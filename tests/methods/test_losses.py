import math

import pytest
import torch
from torch.testing import assert_close

from tbe.methods.losses import NCE, InfoNCE, contrast_accuracy


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


def test_nce_equals_binary_cross_entropy_against_noise():
    """The probability of being the positive, written as in noise-contrastive estimation: P / (P + K noise)."""
    positives, negatives, tau = torch.rand(5), torch.rand(5, 7), 0.5
    rows = torch.cat([positives[:, None], negatives], dim=1).tolist()
    scores = [[math.exp(value / tau) for value in row] for row in rows]
    normalizer = sum(map(sum, scores)) / 40  # times the number of videos, which the noise 1 / n takes away again
    total = 0.0
    for positive, *others in scores:
        total -= math.log(positive / normalizer / (positive / normalizer + 7))
        total -= sum(math.log(7 / (other / normalizer + 7)) for other in others)
    assert_close(NCE(tau)(positives, negatives), torch.tensor(total / 5))


def test_nces_normalizer_is_that_of_the_first_batch_and_survives_a_resume():
    first, second = [(torch.rand(4), torch.rand(4, 6)) for _ in range(2)]
    loss = NCE()
    loss(*first)
    expected = loss(*second)
    resumed = NCE()
    resumed.load_state_dict(loss.state_dict())
    assert_close(resumed(*second), expected, rtol=0, atol=0)
    assert not torch.equal(NCE()(*second), expected)


def test_nce_pulls_the_positive_and_pushes_the_negatives():
    positives, negatives = torch.zeros(2, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    NCE()(positives, negatives).backward()
    assert (positives.grad < 0).all()
    assert (negatives.grad > 0).all()


@pytest.mark.parametrize("loss", [NCE, InfoNCE])
def test_losses_of_negatives_refuse_none(loss):
    with pytest.raises(ValueError, match="expected negatives, got none"):
        loss()(torch.rand(2), torch.empty(2, 0))


def test_contrast_accuracy_is_how_often_the_positive_wins():
    accuracy = contrast_accuracy(torch.tensor([0.9, 0.1]), torch.tensor([[0.2, 0.3], [0.0, 0.5]]))
    assert_close(accuracy, torch.tensor(50.0))


def test_a_first_batch_that_was_skipped_leaves_nces_normalizer_to_the_next():
    bad, good = [(torch.full((4,), value), torch.rand(4, 6)) for value in (float("nan"), 0.5)]
    loss, fresh = NCE(), NCE()
    assert loss(*bad).isnan()
    assert_close(loss(*good), fresh(*good))
    undone = NCE()
    undone(*bad)
    undone.log_mean.fill_(float("nan"))  # as the callback that skips a step restores buffers
    assert_close(undone(*good), fresh(*good))
