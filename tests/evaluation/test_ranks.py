import numpy as np
import pytest
import scipy.linalg
import torch

from tbe.evaluation.ranks import lidar, rankme


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rotation(size):
    return torch.linalg.qr(drawn(size, size)).Q


def entropic(values):
    shares = np.asarray(values, float) / np.sum(values)
    return np.exp(-sum(share * np.log(share) for share in shares if share > 0))


@pytest.mark.parametrize("values", [[1, 1, 1], [4, 2, 1, 1], [5]])
@pytest.mark.parametrize("shape", [(20, 8), (8, 20)])
def test_rankme_is_the_entropy_of_singular_values_that_are_known(values, shape):
    rows, columns = (rotation(size)[:, : len(values)] for size in shape)
    matrix = rows @ torch.diag(torch.tensor(values, dtype=torch.float32)) @ columns.T
    assert rankme(matrix) == pytest.approx(entropic(values), rel=1e-3)


def test_rankme_is_that_of_the_singular_values_of_numpy():
    matrix = drawn(30, 12) * torch.logspace(0, -3, 12)
    assert rankme(matrix) == pytest.approx(entropic(np.linalg.svd(matrix.numpy())[1]), rel=1e-3)


@pytest.mark.parametrize("dim", [6, 60])  # more or fewer dimensions than samples
def test_lidar_is_that_of_generalized_eigenvalues_of_scatters_summed_in_loops(dim):
    embeddings = (drawn(9, 1, dim, seed=1) + 0.3 * drawn(9, 4, dim, seed=2)) * torch.logspace(0, -1, dim)
    videos = embeddings.double().numpy()
    means, between, within = videos.mean(axis=1), np.zeros((dim, dim)), np.zeros((dim, dim))
    for video, mean in zip(videos, means, strict=True):
        between += np.outer(mean - means.mean(axis=0), mean - means.mean(axis=0)) / 8
        within += sum(np.outer(view - mean, view - mean) for view in video) / (9 * 3)
    values = scipy.linalg.eigh(between, within + 1e-4 * np.eye(dim), eigvals_only=True)
    assert lidar(embeddings) == pytest.approx(entropic(values.clip(0)), rel=1e-4)


def test_lidar_counts_the_dimensions_in_which_videos_differ_and_rankme_all_that_vary():
    centers = torch.zeros(64, 1, 10)
    centers[:, :, :4] = drawn(64, 1, 4)
    noise = torch.zeros(64, 8, 10)
    noise[:, :, 4:] = drawn(64, 8, 6)
    assert lidar(centers + noise + 0.01 * drawn(64, 8, 10, seed=3)) == pytest.approx(4, abs=0.3)
    assert rankme((centers + noise)[:, 0]) > 9


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_embeddings_have_rank_one(value):
    equal = torch.full((16, 2, 8), value)
    assert rankme(equal[:, 0]) == pytest.approx(1, abs=1e-3)
    assert lidar(equal) == pytest.approx(1, abs=1e-3)
