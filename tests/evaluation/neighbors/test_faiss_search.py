import sys

import pytest
import torch
from torch.testing import assert_close

from tbe.evaluation.neighbors import Exclusion, nearest, nearest_by_faiss


def vectors(num, seed):
    return torch.randn(num, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("shared", [0, 40, 300])
def test_faiss_finds_what_torch_finds(metric, shared):
    pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')
    queries, gallery = vectors(300, 0), vectors(300, 1)
    asked, known = torch.arange(300).flip(0), torch.arange(300) + 300 - shared
    known[-1] = known[0]  # a video twice
    excluded = Exclusion.of(asked, known) if shared else None
    near, indices = nearest_by_faiss(queries, gallery, 20, metric, excluded)
    expected = nearest(queries, gallery, 20, metric, excluded)
    assert_close(near, expected[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(indices, expected[1])


def test_no_query_among_many_equal_vectors_finds_itself():
    pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')
    same = torch.ones(30, 16)
    excluded = Exclusion.of(torch.arange(30), torch.arange(30))
    indices = nearest_by_faiss(same, same, 5, excluded=excluded)[1]
    assert all(one not in found for one, found in enumerate(indices.tolist()))
    near, indices = nearest_by_faiss(same[:3], same[:3], 3, excluded=Exclusion.of(torch.arange(3), torch.arange(3)))
    assert (indices[:, 2] == -1).all()
    assert (near[:, 2] == -torch.inf).all()


def test_without_faiss_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"expected faiss to be installed, got none: pip install -e \"\.\[faiss\]\""):
        nearest_by_faiss(vectors(2, 0), vectors(5, 1), 1)
