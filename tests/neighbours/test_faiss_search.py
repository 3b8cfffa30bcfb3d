import sys

import pytest
import torch
from torch.testing import assert_close

from tbe.neighbours import nearest, nearest_by_faiss


def vectors(num, seed):
    return torch.randn(num, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_faiss_finds_what_torch_finds(metric, leave_one_out):
    pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')
    queries = vectors(90, 0)
    gallery = queries if leave_one_out else vectors(300, 1)
    near, indices = nearest_by_faiss(queries, gallery, 20, metric, leave_one_out)
    expected = nearest(queries, gallery, 20, metric, leave_one_out)
    assert_close(near, expected[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(indices, expected[1])


def test_none_of_many_equal_vectors_finds_itself():
    pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')
    same = torch.ones(30, 16)
    indices = nearest_by_faiss(same, same, 5, leave_one_out=True)[1]
    assert all(one not in found for one, found in enumerate(indices.tolist()))


def test_without_faiss_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"expected faiss to be installed, got none: pip install -e \"\.\[faiss\]\""):
        nearest_by_faiss(vectors(2, 0), vectors(5, 1), 1)
