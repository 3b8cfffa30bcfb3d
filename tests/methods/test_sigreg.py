"""SIGReg against the integral in closed form, by quadrature, and another implementation."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch.testing import assert_close

from tbe.methods.sigreg import SIGReg, expected_under_the_normal


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_closed_form(samples):
    """The statistic of samples (B,): each of the integrals of exp(itx) with a normal density is known."""
    pairs = (-(samples[:, None] - samples).square() / 2).exp().mean()
    singles = (-samples.square() / 4).exp().mean() / math.sqrt(2)
    return len(samples) * math.sqrt(2 * math.pi) * (pairs - 2 * singles + 1 / math.sqrt(3))


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.2, 0), (2, 0), (1, 1.5), (0, 0)])
def test_the_statistic_is_the_integral_in_closed_form(scale, shift):
    samples = scale * drawn(40, 3) + shift
    found = SIGReg().double().statistic(samples)
    assert_close(found, torch.stack([in_closed_form(column) for column in samples.T]), rtol=1e-4, atol=1e-4)


def test_the_statistic_is_the_integral_by_quadrature():
    samples = drawn(5, 1)

    def distance(t):
        mean = torch.polar(torch.ones_like(samples), t * samples).mean()
        return abs(complex(mean) - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2)

    assert float(SIGReg().double().statistic(samples)) == pytest.approx(5 * quad(distance, -9, 9)[0], rel=1e-4)


@pytest.mark.parametrize("batch", [2, 32])
def test_normal_samples_have_the_expectation_whatever_their_number(batch):
    found = SIGReg().double().statistic(drawn(batch, 20_000))
    error = float(found.std()) / math.sqrt(20_000)
    assert float(found.mean()) == pytest.approx(expected_under_the_normal(), abs=4 * error)


def test_another_implementation_finds_the_same_and_the_same_gradients():
    lightly = pytest.importorskip("lightly.loss.lejepa_loss", reason='needs lightly: pip install -e ".[dev]"')
    views, found = drawn(2, 16, 8), {}
    for name, loss in {
        "ours": SIGReg(num_slices=64, num_frequencies=21, largest=4).double(),
        "lightly": lightly.SIGReg(knots=21, t_max=4, num_vectors=64).double(),
    }.items():
        embeddings = views.clone().requires_grad_()
        torch.manual_seed(3)  # both draw their directions with torch.randn, of this shape
        value = loss(embeddings)
        found[name] = value.detach(), *torch.autograd.grad(value, embeddings)
    assert_close(found["ours"], found["lightly"], rtol=1e-5, atol=1e-8)


def test_a_collapse_in_any_way_costs_more_than_isotropic_embeddings():
    loss = SIGReg(num_slices=256).double()
    good = drawn(1, 64, 8)
    flat = good * torch.tensor([1.0] * 4 + [0.0] * 4)  # of half the dimensions
    wide = good * torch.tensor([3.0] * 4 + [1.0] * 4)
    values = {}
    for name, views in {"good": good, "flat": flat, "wide": wide, "equal": torch.zeros_like(good)}.items():
        torch.manual_seed(0)
        values[name] = float(loss(views))
    assert values["good"] < 1.5 < min(values["flat"], values["wide"]) < values["equal"]


def test_settings_without_an_integral_are_refused():
    for settings in ({"num_slices": 0}, {"num_frequencies": 1}, {"largest": 0.0}):
        with pytest.raises(ValueError, match="SIGReg: expected at least 1 slice, 2 frequencies"):
            SIGReg(**settings)
