import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP

import tbe.evaluation.metrics
from tbe.evaluation.metrics import (
    knn_accuracy,
    knn_classes,
    mean_average_precision,
    prototype_accuracy,
    recall_at_k,
    topk_accuracy,
)
from tbe.evaluation.neighbors import Exclusion


def embedded(num, seed, num_classes=6):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator)
    centers = torch.randn(num_classes, 16, generator=torch.Generator().manual_seed(99))
    return centers[labels] + 4 * torch.randn(num, 16, generator=generator), labels


def nearness(queries, gallery, metric):
    if metric == "cosine":
        return normalize(queries, dim=1) @ normalize(gallery, dim=1).T
    return -(queries.unsqueeze(1) - gallery).square().sum(dim=2).sqrt()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", [2**24, 100])  # all queries at once, and one at a time
def test_recall_and_precision_equal_those_of_torchmetrics(metric, pairs, monkeypatch):
    monkeypatch.setattr(tbe.evaluation.metrics, "MAX_PAIRS", pairs)
    (queries, query_labels), (gallery, gallery_labels) = embedded(40, 0), embedded(90, 1)
    query_labels[0] = 6  # a class that nobody else has
    data = (queries, query_labels, gallery, gallery_labels)
    ours = recall_at_k(*data, (1, 5, 10), metric)
    near = nearness(queries, gallery, metric)
    near = near - near.min() + 1  # torchmetrics calls irrelevant what is not above 0
    indexes = torch.arange(40).unsqueeze(1).expand_as(near)
    hits = query_labels.unsqueeze(1) == gallery_labels
    for k, recall in ours.items():
        theirs = RetrievalHitRate(top_k=k)(near.flatten(), hits.flatten(), indexes.flatten())
        assert recall == pytest.approx(100 * theirs.item(), abs=1e-4)
    assert ours[1] < ours[5] < ours[10]
    theirs = RetrievalMAP(empty_target_action="neg")(near.flatten(), hits.flatten(), indexes.flatten())
    assert mean_average_precision(*data, metric) == pytest.approx(100 * theirs.item(), abs=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", [2**24, 100])
def test_excluding_videos_equals_a_loop_over_galleries_without_them(metric, pairs, monkeypatch):
    monkeypatch.setattr(tbe.evaluation.metrics, "MAX_PAIRS", pairs)
    asked = torch.tensor([*range(39, 9, -2), 3, 3, 50])  # backwards, a part, one twice, one that only the queries have
    known = torch.tensor([*range(30), *range(5)])  # some twice
    (queries, query_labels), (gallery, gallery_labels) = embedded(len(asked), 0), embedded(len(known), 1)
    recalls, precisions, votes = [], [], []
    for one in range(len(asked)):
        others = known != asked[one]
        data = (queries[[one]], query_labels[[one]], gallery[others], gallery_labels[others])
        recalls.append(recall_at_k(*data, (1, 5, 35), metric))
        precisions.append(mean_average_precision(*data, metric))
        votes.append((knn_accuracy(*data, k=7), knn_accuracy(*data, k=50)))
    data, excluded = (queries, query_labels, gallery, gallery_labels), Exclusion.of(asked, known)
    for k, recall in recall_at_k(*data, (1, 5, 35), metric, excluded).items():
        assert recall == pytest.approx(np.mean([found[k] for found in recalls]), abs=1e-4)
    assert mean_average_precision(*data, metric, excluded) == pytest.approx(np.mean(precisions), abs=1e-4)
    found = [knn_accuracy(*data, k=k, excluded=excluded) for k in (7, 50)]
    assert found == pytest.approx(np.mean(votes, axis=0))


@pytest.mark.parametrize("pairs", [2**24, 100])
def test_equally_near_videos_count_together_as_in_sklearn(pairs, monkeypatch):
    monkeypatch.setattr(tbe.evaluation.metrics, "MAX_PAIRS", pairs)
    generator = torch.Generator().manual_seed(0)
    # Of length 4, so that the cosines are exact and many of them equal.
    queries, gallery = (torch.randint(2, (num, 16), generator=generator) * 2.0 - 1 for num in (20, 60))
    query_labels, gallery_labels = (torch.randint(4, (num,), generator=generator) for num in (20, 60))
    theirs = [
        average_precision_score(gallery_labels == label, gallery @ query)
        for query, label in zip(queries, query_labels, strict=True)
    ]
    ours = mean_average_precision(queries, query_labels, gallery, gallery_labels)
    assert ours == pytest.approx(100 * np.mean(theirs), abs=1e-4)


def test_queries_of_classes_that_the_gallery_lacks_count_nothing():
    (queries, labels), (gallery, gallery_labels) = embedded(10, 0), embedded(20, 1)
    assert mean_average_precision(queries, labels + 6, gallery, gallery_labels) == 0


def test_recall_beyond_the_gallery_counts_the_whole_gallery():
    (queries, labels), (gallery, gallery_labels) = embedded(10, 0), embedded(7, 1)
    found = recall_at_k(queries, labels, gallery, gallery_labels, (1, 50))
    assert found[50] == pytest.approx(100 * np.isin(labels, gallery_labels).mean())


def test_a_video_alone_finds_nothing():
    alone, excluded = embedded(1, 0), Exclusion.of(torch.zeros(1), torch.zeros(1))
    assert recall_at_k(*alone, *alone, (1, 5), excluded=excluded) == {1: 0, 5: 0}
    assert mean_average_precision(*alone, *alone, excluded=excluded) == 0
    assert knn_classes(alone[0], *alone, excluded=excluded).tolist() == [-1]


def test_knn_equals_sklearn_with_the_same_weights():
    (queries, query_labels), (gallery, gallery_labels) = embedded(60, 0), embedded(150, 1)
    queries, gallery = normalize(queries, dim=1), normalize(gallery, dim=1)
    # For unit vectors the squared distance is 2 - 2 * cosine.
    classifier = KNeighborsClassifier(7, weights=lambda distances: np.exp((1 - distances**2 / 2) / 0.1))
    theirs = classifier.fit(gallery.numpy(), gallery_labels.numpy()).score(queries.numpy(), query_labels.numpy())
    ours = knn_accuracy(queries, query_labels, gallery, gallery_labels, k=7, temperature=0.1)
    assert ours == pytest.approx(100 * theirs)
    assert 20 < ours < 100


def test_prototypes_equal_a_loop():
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(6, 5, 1, 8, generator=generator)
    support, queries = (centers + 2 * torch.randn(6, 5, num, 8, generator=generator) for num in (3, 4))
    for episode, accuracy in enumerate(prototype_accuracy(support, queries)):
        right = 0
        for way in range(5):
            for query in queries[episode, way]:
                cosines = [
                    torch.cosine_similarity(query, torch.stack([one / one.norm() for one in of_class]).mean(0), dim=0)
                    for of_class in support[episode]
                ]
                right += int(np.argmax(cosines)) == way
        assert accuracy.item() == pytest.approx(100 * right / 20)
        assert 20 < accuracy < 100


def test_topk_equals_sklearn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 8)), rng.integers(0, 8, 50)
    for k in (1, 5):
        theirs = 100 * top_k_accuracy_score(labels, scores, k=k, labels=range(8))
        assert topk_accuracy(scores, labels, k) == pytest.approx(theirs)
    assert topk_accuracy(scores, labels, 20) == 100


def test_a_label_nobody_scored_counts_as_missed():
    assert topk_accuracy(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 5]), 1) == 50
    scores = np.array([[0.4, -np.inf, 0.6]] * 3)  # of three classes, one of which was never seen
    assert topk_accuracy(scores, np.array([0, 1, 2]), 5) == pytest.approx(200 / 3)
