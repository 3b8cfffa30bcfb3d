import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize
from torch.testing import assert_close
from torchmetrics.retrieval import RetrievalHitRate

from tbe.metrics import contrast_accuracy, knn_accuracy, nearest, recall_at_k, topk_accuracy


def embedded(num, seed, num_classes=6):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator)
    centres = torch.randn(num_classes, 16, generator=torch.Generator().manual_seed(99))
    return centres[labels] + 4 * torch.randn(num, 16, generator=generator), labels


def test_recall_equals_the_hit_rate_of_torchmetrics():
    (queries, query_labels), (gallery, gallery_labels) = embedded(40, 0), embedded(90, 1)
    ours = recall_at_k(queries, query_labels, gallery, gallery_labels, (1, 5, 10))
    similarities = normalize(queries, dim=1) @ normalize(gallery, dim=1).T
    indexes = torch.arange(40).unsqueeze(1).expand_as(similarities)
    hits = query_labels.unsqueeze(1) == gallery_labels
    for k, recall in ours.items():
        theirs = RetrievalHitRate(top_k=k)(similarities.flatten(), hits.flatten(), indexes.flatten())
        assert recall == pytest.approx(100 * theirs.item(), abs=1e-4)
    assert ours[1] < ours[5] < ours[10]


def test_recall_beyond_the_gallery_counts_the_whole_gallery():
    (queries, labels), (gallery, gallery_labels) = embedded(10, 0), embedded(7, 1)
    found = recall_at_k(queries, labels, gallery, gallery_labels, (1, 50))
    assert found[50] == pytest.approx(100 * np.isin(labels, gallery_labels).mean())


def test_chunks_change_nothing():
    (queries, _), (gallery, _) = embedded(33, 0), embedded(50, 1)
    assert torch.equal(nearest(queries, gallery, 5, chunk=7)[1], nearest(queries, gallery, 5)[1])


def test_more_neighbours_than_videos_are_refused():
    with pytest.raises(ValueError, match="expected at least 5 gallery videos for 5 neighbours, got 3"):
        nearest(torch.rand(2, 4), torch.rand(3, 4), 5)


def test_knn_equals_sklearn_with_the_same_weights():
    (queries, query_labels), (gallery, gallery_labels) = embedded(60, 0), embedded(150, 1)
    queries, gallery = normalize(queries, dim=1), normalize(gallery, dim=1)
    # For unit vectors the squared distance is 2 - 2 * cosine.
    classifier = KNeighborsClassifier(7, weights=lambda distances: np.exp((1 - distances**2 / 2) / 0.1))
    theirs = classifier.fit(gallery.numpy(), gallery_labels.numpy()).score(queries.numpy(), query_labels.numpy())
    ours = knn_accuracy(queries, query_labels, gallery, gallery_labels, k=7, temperature=0.1)
    assert ours == pytest.approx(100 * theirs)
    assert 20 < ours < 100


def test_topk_equals_sklearn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 8)), rng.integers(0, 8, 50)
    for k in (1, 5):
        theirs = 100 * top_k_accuracy_score(labels, scores, k=k, labels=range(8))
        assert topk_accuracy(scores, labels, k) == pytest.approx(theirs)
    assert topk_accuracy(scores, labels, 20) == 100


def test_a_label_nobody_scored_counts_as_missed():
    assert topk_accuracy(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 5]), 1) == 50


def test_contrast_accuracy_is_how_often_the_positive_wins():
    accuracy = contrast_accuracy(torch.tensor([0.9, 0.1]), torch.tensor([[0.2, 0.3], [0.0, 0.5]]))
    assert_close(accuracy, torch.tensor(50.0))
