import pytest
import torch

from tbe.evaluation.feature_cache import FeatureCache
from tbe.evaluation.features import Features
from tbe.evaluation.metrics import knn_accuracy
from tbe.evaluation.neighbors import Exclusion
from tbe.evaluation.perturbations import Clean
from tbe.evaluation.tasks import base
from tbe.evaluation.tasks.knn import Knn


def videos(num, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 4
    return torch.nn.functional.one_hot(labels, 8) + 0.8 * torch.randn(num, 8, generator=generator), labels


def test_no_video_is_its_own_neighbor(known):
    same = videos(20, 1)
    excluded = Exclusion.of(torch.arange(20), torch.arange(20))
    metrics = Knn(k=3).run(known(iid=same, test=same, gallery="iid"))
    assert metrics == {"knn/top1": knn_accuracy(*same, *same, k=3, excluded=excluded)}
    assert metrics["knn/top1"] < 100


def test_a_gallery_smaller_than_k_votes_as_a_whole_with_a_warning(known, caplog):
    gallery, queries = videos(7, 0), videos(4, 1)
    assert Knn(k=20).run(known(train=gallery, test=queries))["knn/top1"] == knn_accuracy(*queries, *gallery, k=7)
    assert "knn: all 7 videos of train vote, fewer than k=20" in caplog.text


def test_the_temperature_weighs_the_votes(known):
    gallery, queries = videos(40, 0), videos(40, 1)
    found = [
        Knn(k=20, temperature=temperature).run(known(train=gallery, test=queries))["knn/top1"]
        for temperature in (0.01, 10.0)
    ]
    assert found == [knn_accuracy(*queries, *gallery, k=20, temperature=temperature) for temperature in (0.01, 10.0)]
    assert found[0] != found[1]


def test_invalid_settings_are_refused():
    for settings in ({"k": 0}, {"temperature": 0}):
        with pytest.raises(ValueError, match="expected k of at least 1 and temperature above 0"):
            Knn(**settings)


def test_features_of_some_of_the_videos_that_lie_in_the_cache_are_computed_again(known, tmp_path, monkeypatch):
    vectors, labels = torch.eye(8), torch.arange(8)
    evaluation = known(train=(vectors, labels), test=(vectors.clone(), labels))
    evaluation.cache = FeatureCache(tmp_path, "net", {})
    for split in ("train", "test"):
        evaluation.cache.write(evaluation._file(split, Clean(), True), Features(vectors[:2].unsqueeze(1), labels[:2]))
    evaluation._found.clear()
    monkeypatch.setattr(base, "extract", lambda *_: {"clean": Features(vectors.unsqueeze(1), labels)})
    assert len(evaluation.features("test").labels) == 8
    assert Knn(k=1).run(evaluation) == {"knn/top1": 100}
