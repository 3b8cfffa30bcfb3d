import pytest
import torch
from torch.testing import assert_close

from tbe.methods.embedding_losses import LeJEPALoss, VICRegLoss


def views(number=2, batch=6, dim=4, seed=0):
    return torch.randn(number, batch, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_vicreg_is_its_three_terms_written_as_loops():
    embeddings = 0.7 * views()
    invariance = sum(float((a - b) ** 2) for a, b in zip(*embeddings.flatten(1), strict=True)) / 24
    variance = covariance = 0.0
    for view in embeddings:
        matrix = torch.cov(view.T)
        for row in range(4):
            variance += max(0.0, 1 - float(matrix[row, row] + 1e-4) ** 0.5) / 8
            covariance += sum(float(matrix[row, column]) ** 2 for column in range(4) if column != row) / 4
    loss = VICRegLoss(2, 3, 5)
    assert float(loss(embeddings)) == pytest.approx(2 * invariance + 3 * variance + 5 * covariance)
    parts = {name: float(value) for name, value in loss.parts.items()}
    assert parts == pytest.approx({"invariance": invariance, "variance": variance, "covariance": covariance})


def test_vicreg_is_that_of_another_implementation_with_the_papers_weights():
    lightly = pytest.importorskip("lightly.loss", reason='needs lightly: pip install -e ".[dev]"')
    one, other = 0.5 * views()
    assert_close(VICRegLoss()(torch.stack([one, other])), lightly.VICRegLoss()(one, other))


def test_lejepa_weighs_the_distance_from_the_center_against_sigreg():
    embeddings = views(3)
    center = embeddings.mean(dim=0)
    invariance = sum((view - center).square().mean() for view in embeddings) / 3
    loss = LeJEPALoss(0.2, num_slices=16).double()
    torch.manual_seed(0)
    value = loss(embeddings)
    torch.manual_seed(0)
    assert_close(value, 0.8 * invariance + 0.2 * loss.sigreg(embeddings))
    assert_close(loss.parts["invariance"], invariance)


@pytest.mark.parametrize("loss", [VICRegLoss(), LeJEPALoss(num_slices=64)])
def test_embeddings_that_are_all_alike_are_pushed_apart_and_agreeing_views_are_not_enough(loss):
    alike = torch.full((2, 8, 4), 0.3) + 1e-3 * torch.randn(1, 8, 4)
    spread = 2 * torch.randn(1, 8, 4).expand(2, -1, -1)
    torch.manual_seed(0)
    costs = [loss(embeddings) for embeddings in (alike, spread)]
    assert costs[0] > costs[1]
    pushed = alike.requires_grad_()
    loss(pushed).backward()
    apart = (pushed.detach() - pushed.detach().mean(dim=1, keepdim=True)).flatten() @ -pushed.grad.flatten()
    assert apart > 0


@pytest.mark.parametrize("loss", [VICRegLoss(), LeJEPALoss(num_slices=4)])
def test_a_batch_of_one_video_is_refused(loss):
    with pytest.raises(ValueError, match=f"{type(loss).__name__}: expected a batch of at least 2 videos"):
        loss(torch.zeros(2, 1, 4))


def test_weights_out_of_range_are_refused():
    with pytest.raises(ValueError, match="VICRegLoss.variance: expected a weight of at least 0, got -1"):
        VICRegLoss(variance=-1)
    with pytest.raises(ValueError, match="LeJEPALoss: expected a weight from 0 to 1, got 25"):
        LeJEPALoss(25)
