import pytest
import torch
from torch.nn.functional import normalize, one_hot
from torch.testing import assert_close

from tbe.evaluation.neighbors import Exclusion, nearest

BLOCKS = [(1024, 8192), (7, 10), (3, 64), (50, 33)]


def vectors(num, seed, num_features=16):
    return torch.randn(num, num_features, generator=torch.Generator().manual_seed(seed))


def corners(num, seed):
    """Vectors of length 4 whose products are exact and often equal."""
    return torch.randint(2, (num, 16), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def sorted_matrix(queries, gallery, metric="cosine"):
    """All pairs at once, the first of equals first."""
    if metric == "cosine":
        near = normalize(queries, dim=1) @ normalize(gallery, dim=1).T
    else:
        near = -(queries.unsqueeze(1) - gallery).square().sum(dim=2).sqrt()
    return near.sort(dim=1, descending=True, stable=True)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 20, 500])
def test_search_equals_sorting_all_pairs(metric, blocks, k):
    queries, gallery = vectors(60, 0), vectors(500, 1)
    near, indices = nearest(queries, gallery, k, metric, blocks=blocks)
    expected = sorted_matrix(queries, gallery, metric)
    assert_close(near, expected.values[:, :k])
    assert torch.equal(indices, expected.indices[:, :k])


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 5, 60, 600])
def test_ties_are_in_gallery_order(metric, blocks, k):
    queries, gallery = corners(60, 0), corners(300, 1)
    gallery = torch.cat([gallery, -gallery])  # of mean 0, so that distances are exact too
    expected = sorted_matrix(queries, gallery, metric).indices[:, :k]
    assert torch.equal(nearest(queries, gallery, k, metric, blocks=blocks)[1], expected)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_excluded_vectors_are_never_found(metric, blocks):
    gallery = torch.cat([corners(50, 0), vectors(50, 1)])
    asked = torch.tensor([*range(99, 20, -3), 7, 7, 200])
    known = torch.cat([torch.arange(90), torch.full((10,), 7)])  # eleven times the same video
    queries = gallery[asked.clamp_max(99)]
    near, indices = nearest(queries, gallery, 100, metric, Exclusion.of(asked, known), blocks=blocks)
    for one, video in enumerate(asked):
        others = (known != video).nonzero().squeeze(1)
        expected = nearest(queries[[one]], gallery[others], len(others), metric)
        if metric == "cosine":  # around another center distances are rounded otherwise
            assert torch.equal(indices[one, : len(others)], others[expected[1][0]])
        # Squares: of a distance near 0 the root makes 0.002 of what the last digit leaves, another on each processor.
        found, wanted = near[one, : len(others)], expected[0][0]
        assert_close(found.square() * found.sign(), wanted.square() * wanted.sign(), atol=2e-5, rtol=2e-4)
        assert sorted(indices[one, : len(others)].tolist()) == others.tolist()
        assert (indices[one, len(others) :] == -1).all()
        assert (near[one, len(others) :] == -torch.inf).all()


def test_small_distances_between_large_vectors_are_seen():
    # float32 has seven digits: of squares of these the sixth is the first that differs.
    steps = torch.tensor([[0.0], [0.3], [0.9], [1.0]]) * one_hot(torch.tensor(3), 32)
    assert nearest(1000 + steps[:1], 1000 + steps[1:], 3, "euclidean")[1].tolist() == [[0, 1, 2]]


def test_half_precision_vectors_are_searched_in_float32():
    queries, gallery = vectors(20, 0).half(), vectors(80, 1).half()
    found, expected = nearest(queries, gallery, 5), nearest(queries.float(), gallery.float(), 5)
    assert all(map(torch.equal, found, expected))


def test_products_in_bf16_find_nearly_the_same():
    queries, gallery = vectors(50, 0, 128), vectors(2000, 1, 128)
    for metric in ("cosine", "euclidean"):
        near, indices = nearest(queries, gallery, 20, metric, precision="bf16")
        exact, expected = nearest(queries, gallery, 20, metric)
        assert_close(near, exact, rtol=2e-2, atol=0)
        assert (indices.unsqueeze(2) == expected.unsqueeze(1)).any(dim=2).float().mean() > 0.9
        assert not torch.equal(near, exact)


def test_nan_comes_first_as_in_topk():
    queries, gallery = vectors(3, 0), vectors(80, 1)
    queries[1] = torch.nan
    gallery[79] = -torch.tensor(torch.nan)  # what x86 makes of inf - inf
    found = nearest(queries, gallery, 4, blocks=(2, 10))[1]
    assert found[1].tolist() == [0, 1, 2, 3]
    assert found[[0, 2], 0].tolist() == [79, 79]
    assert torch.equal(found[[0, 2], 1:], nearest(queries[[0, 2]], gallery[:79], 3)[1])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"k": 5}, "expected at least 5 gallery videos for 5 neighbors, got 3"),
        ({"k": 1, "metric": "dot"}, "expected metric to be one of cosine, euclidean, got 'dot'"),
        ({"k": 1, "precision": "fp8"}, "expected precision to be one of fp32, bf16, got 'fp8'"),
    ],
)
def test_invalid_settings_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        nearest(torch.rand(2, 4), torch.rand(3, 4), **settings)
