import sys
from contextlib import contextmanager

import pytest
import torch

from tbe.evaluation.metrics import hit_rates, mean_average_precision, recall_at_k
from tbe.evaluation.neighbors import Exclusion, nearest
from tbe.evaluation.tasks.retrieval import Retrieval


def videos(num, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 4
    return torch.nn.functional.one_hot(labels, 8) + 0.8 * torch.randn(num, 8, generator=generator), labels


def test_the_query_split_is_searched_for_in_the_gallery(known):
    gallery, queries = videos(40, 0), videos(20, 1)
    metrics = Retrieval(ks=(1, 5), metric="euclidean", pictures=0).run(known(train=gallery, test=queries))
    recalls = recall_at_k(*queries, *gallery, (1, 5), "euclidean")
    assert metrics == {
        "retrieval/R@1": recalls[1],
        "retrieval/R@5": recalls[5],
        "retrieval/mAP": mean_average_precision(*queries, *gallery, "euclidean"),
    }


def test_the_search_is_of_the_precision_that_is_asked_for(known):
    angles = torch.linspace(0, 1, 200)  # neighbors whose cosines are equal in three digits
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    gallery = vectors, torch.arange(200)
    queries = vectors + 1e-4, torch.arange(200)
    found = {}
    for precision in ("fp32", "bf16"):
        indices = nearest(queries[0], gallery[0], 1, precision=precision)[1]
        task = Retrieval(ks=(1,), pictures=0, precision=precision)
        found[precision] = task.run(known(train=gallery, test=queries))["retrieval/R@1"]
        assert found[precision] == hit_rates(indices, queries[1], gallery[1], (1,))[1]
    assert found["fp32"] == 100 > found["bf16"]


def test_no_video_finds_itself_whatever_its_split_is_called(known):
    same, others = videos(20, 1), videos(40, 0)
    excluded = Exclusion.of(torch.arange(20), torch.arange(20))
    expected = recall_at_k(*same, *same, (1,), excluded=excluded)[1]
    task = Retrieval(ks=(1,), pictures=0)
    asked = [
        known(test=same, gallery="test"),
        known(iid=same, test=same, gallery="iid"),
    ]
    for evaluation in asked:
        assert task.run(evaluation)["retrieval/R@1"] == expected < 100
    chosen = Retrieval(ks=(1,), leave_one_out=True, pictures=0)
    assert chosen.run(known(train=others, test=same))["retrieval/R@1"] == expected
    assert task.run(known(train=others, test=same))["retrieval/R@1"] != expected


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_faiss_measures_what_torch_measures(known, metric):
    pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')
    evaluation = known(train=videos(40, 0), test=videos(20, 1), queries=("train", "test"))
    ours, theirs = (Retrieval(metric=metric, pictures=0, backend=name).run(evaluation) for name in ("torch", "faiss"))
    assert ours == theirs
    with pytest.raises(ValueError, match="expected precision=fp32 with backend=faiss, got 'bf16'"):
        Retrieval(backend="faiss", precision="bf16")


def test_without_faiss_it_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match="expected faiss to be installed, got none: pip install"):
        Retrieval(backend="faiss")


def test_the_usual_numbers_of_neighbors_end_where_the_videos_do(known):
    metrics = Retrieval(pictures=0).run(known(train=videos(12, 0), test=videos(4, 1)))
    assert list(metrics) == ["retrieval/R@1", "retrieval/R@5", "retrieval/R@10", "retrieval/mAP"]


@pytest.mark.parametrize(("gallery", "candidates"), [("train", "7, the"), ("test", "3, the videos of test besides")])
def test_more_neighbors_than_videos_are_refused(known, gallery, candidates):
    evaluation = known(train=videos(7, 0), test=videos(4, 1), gallery=gallery)
    with pytest.raises(ValueError, match=rf"expected ks up to {candidates}.*got \[1, 10\]"):
        Retrieval(ks=(1, 10), pictures=0).run(evaluation)


def test_one_video_has_nothing_to_find(known):
    with pytest.raises(ValueError, match="expected at least one video of test besides the query itself, got none"):
        Retrieval(pictures=0).run(known(test=videos(1, 0), gallery="test"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"ks": ()}, "expected ks to be numbers above 0"),
        ({"ks": (0, 1)}, "expected ks to be numbers above 0"),
        ({"metric": "dot"}, "expected metric to be one of cosine, euclidean, got 'dot'"),
        ({"backend": "annoy"}, "expected backend to be one of torch, faiss, got 'annoy'"),
        ({"precision": "fp8"}, "expected precision to be one of fp32, bf16, got 'fp8'"),
    ],
)
def test_invalid_settings_are_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        Retrieval(**settings)


def test_the_search_and_the_ranking_run_where_they_are_told(known, monkeypatch):
    asked = []

    @contextmanager
    def on_meta(device, *vectors):
        asked.append((device.type, [len(part) for part in vectors]))
        yield torch.device("meta")

    def nearest(queries, gallery, k, *settings, **more):
        assert {queries.device.type, gallery.device.type} == {"meta"}
        return torch.zeros(len(queries), k), torch.zeros(len(queries), k, dtype=torch.long)

    def mean_average_precision(*features_and_settings):
        assert {part.device.type for part in features_and_settings if isinstance(part, torch.Tensor)} == {"meta"}
        return 12.5

    for replaced in (nearest, mean_average_precision):
        monkeypatch.setattr(f"tbe.evaluation.tasks.retrieval.{replaced.__name__}", replaced)
    monkeypatch.setattr("tbe.evaluation.tasks.retrieval.exact_search", on_meta)
    metrics = Retrieval(ks=(1,), pictures=0).run(known(train=videos(40, 0), test=videos(20, 1)))
    assert metrics == {"retrieval/R@1": 25.0, "retrieval/mAP": 12.5}  # the first of the gallery is of one class of four
    assert asked == [("cpu", [20, 40])]
