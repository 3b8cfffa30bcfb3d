import pytest
import torch

from tbe.evaluation.neighbors import exact_search
from tbe.evaluation.neighbors.device import ROOM

GPU = torch.device("cuda", 1)
VECTORS = torch.zeros(1000, 256), torch.zeros(500, 256)  # 1,536,000 bytes
NEEDED = 2 * 1_536_000 + ROOM


@pytest.fixture
def gpu(monkeypatch):
    """gpu(free) pretends one with so many free bytes."""

    def make(free):
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free) if device == GPU else None)

    return make


@pytest.mark.parametrize(("free", "expected"), [(NEEDED, "cuda"), (NEEDED - 1, "cpu")])
def test_a_gpu_is_searched_on_where_the_vectors_fit(gpu, free, expected):
    gpu(free)
    with exact_search(GPU, *VECTORS) as device:
        assert device.type == expected


def test_without_a_gpu_the_cpu_searches_with_its_own_settings(monkeypatch):
    monkeypatch.setattr(torch, "set_float32_matmul_precision", None)
    with exact_search(torch.device("cpu"), *VECTORS) as device:
        assert device == torch.device("cpu")


def test_products_on_a_gpu_are_exact_and_what_was_set_comes_back(gpu):
    gpu(NEEDED)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        with pytest.raises(RuntimeError, match="of the search"), exact_search(GPU, *VECTORS):
            assert torch.get_float32_matmul_precision() == "highest"
            raise RuntimeError("of the search")
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
