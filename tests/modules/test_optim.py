import pytest
import torch

from tbe.modules.optim import Constant, Cosine, MultiStep


def test_cosine_falls_from_one_to_its_final_share():
    schedule = Cosine(final=0.1)
    factors = [schedule(step, 100, 10) for step in range(101)]
    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)
    assert factors == sorted(factors, reverse=True)


def test_cosine_equals_torchs_schedule():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert Cosine()(step, 20, 5) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_warmup_rises_linearly():
    schedule = Cosine(warmup_epochs=2)
    assert [schedule(step, 100, 2) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule(4, 100, 2) == 1


def test_milestones_are_epochs():
    schedule = MultiStep((2, 3), factor=0.1)
    assert [schedule(step, 40, 10) for step in (0, 19, 20, 29, 30)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_constant_is_constant():
    assert {Constant()(step, 10, 2) for step in range(10)} == {1.0}
