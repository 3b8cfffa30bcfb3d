import pytest
import torch

from tbe.metrics import mean_average_precision, recall_at_k
from tbe.tasks.retrieval import Retrieval


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


def test_no_video_finds_itself_whatever_its_split_is_called(known):
    same, others = videos(20, 1), videos(40, 0)
    expected = recall_at_k(*same, *same, (1,), leave_one_out=True)[1]
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


def test_more_neighbours_than_videos_are_all_of_them_and_said(known, caplog):
    gallery, queries = videos(7, 0), videos(4, 1)
    metrics = Retrieval(ks=(1, 10, 50), pictures=0).run(known(train=gallery, test=queries))
    assert metrics["retrieval/R@10"] == metrics["retrieval/R@50"] == 100
    assert "retrieval: R@10, R@50 of 7 videos of train to find counts all of them" in caplog.text


def test_one_video_has_nothing_to_find(known):
    with pytest.raises(
        ValueError, match="expected at least one video of test to find besides the query itself, got none"
    ):
        Retrieval(pictures=0).run(known(test=videos(1, 0), gallery="test"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"ks": ()}, "expected ks to be numbers above 0"),
        ({"ks": (0, 1)}, "expected ks to be numbers above 0"),
        ({"metric": "dot"}, "expected metric to be one of cosine, euclidean, got 'dot'"),
    ],
)
def test_what_cannot_be_is_refused(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        Retrieval(**settings)
