"""No video finds itself, in no task, however the lists are written."""

import pytest
import torch

from tbe.evaluation.tasks.confusion import Confusion
from tbe.evaluation.tasks.few_labels import FewLabels
from tbe.evaluation.tasks.few_shot import FewShot, draw
from tbe.evaluation.tasks.knn import Knn
from tbe.evaluation.tasks.linear import LinearProbe
from tbe.evaluation.tasks.retrieval import Retrieval

NUM = 24
LINEAR = LinearProbe(strengths=(0.1,))
TASKS = [Retrieval(ks=(1, 5), pictures=0), Knn(k=3), Confusion(by="knn", k=3)]

# Rows of the list, and how the path of a video is written in it.
LISTS = {
    "reversed": (range(NUM - 1, -1, -1), "{}.mp4"),
    "mixed": (torch.randperm(NUM, generator=torch.Generator().manual_seed(1)).tolist(), "{}.mp4"),
    "here": (range(NUM), "./{}.mp4"),
    "up": (range(NUM), "a/../{}.mp4"),
    "slashes": (range(NUM), ".//{}.mp4"),
    "whole": (range(NUM), "{root}/{}.mp4"),
}


@pytest.fixture(scope="module")
def videos():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(NUM) % 4
    return torch.nn.functional.one_hot(labels, 8) + 0.8 * torch.randn(NUM, 8, generator=generator), labels


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    monkeypatch.setattr(Confusion, "_write", lambda *_: None)


def listed(videos, tmp_path, rows, form="{}.mp4"):
    rows = list(rows)
    return videos[0][rows], videos[1][rows], [form.format(row, root=tmp_path) for row in rows]


def measured(evaluation):
    return {name: value for task in TASKS for name, value in task.run(evaluation).items()}


@pytest.mark.parametrize("name", LISTS)
def test_another_list_of_the_same_videos_has_the_same_numbers(known, videos, tmp_path, name):
    usual, other = listed(videos, tmp_path, range(NUM)), listed(videos, tmp_path, *LISTS[name])
    expected = measured(known(train=usual, test=usual))
    assert 20 < expected["retrieval/R@1"] < 90
    assert measured(known(train=usual, test=other)) == pytest.approx(expected)
    assert measured(known(train=other, test=usual)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "there"), [(range(6, 15), range(NUM)), (range(NUM), range(6, 15)), (range(15), range(9, 24))]
)
def test_queries_in_the_gallery_are_excluded_from_their_own_results(known, videos, tmp_path, asked, there):
    loop = []
    for query in asked:
        rest = listed(videos, tmp_path, [row for row in there if row != query])
        loop.append(measured(known(train=rest, test=listed(videos, tmp_path, [query]))))
    found = measured(known(train=listed(videos, tmp_path, there), test=listed(videos, tmp_path, asked)))
    for name in ("retrieval/R@1", "retrieval/R@5", "retrieval/mAP", "knn/top1", "confusion/top1"):
        assert found[name] == pytest.approx(sum(row[name] for row in loop) / len(loop))


def test_a_video_that_is_listed_twice_does_not_find_its_other_row(known, videos, tmp_path):
    once, twice = (listed(videos, tmp_path, [*range(NUM), *more]) for more in ([], range(NUM)))
    expected = measured(known(train=once, test=once))
    found = measured(known(train=twice, test=twice))
    assert found["retrieval/R@1"] == pytest.approx(expected["retrieval/R@1"])
    assert measured(known(train=once, test=twice)) == pytest.approx(expected)


def test_a_query_that_has_only_itself_to_find_is_named(known, videos, tmp_path):
    alone = listed(videos, tmp_path, [3, 3])
    for task in TASKS:
        with pytest.raises(ValueError, match="of train besides the query itself, got none for .*3.mp4"):
            task.run(known(train=alone, test=listed(videos, tmp_path, range(NUM))))


@pytest.mark.parametrize("name", ["reversed", "whole"])
def test_few_shot_does_not_ask_for_what_it_learns_from(known, tmp_path, name):
    # Every video has a direction of its own: only one that was learnt from could be told.
    labels = torch.arange(5).repeat_interleave(20)
    own = torch.eye(100), labels
    other = listed(own, tmp_path, range(99, -1, -1) if name == "reversed" else range(100), LISTS[name][1])
    metrics = FewShot(shots=(5,), episodes=50).run(known(train=listed(own, tmp_path, range(100)), test=other))
    assert metrics["few_shot/5way_5shot"] == pytest.approx(20, abs=0.01)
    part = [row for row in range(100) if row % 20 < 18]  # with 18 of a class 13 may be left
    with pytest.raises(ValueError, match="expected 5 classes .*, got 0"):
        FewShot(shots=(5,), queries=14).run(
            known(train=listed(own, tmp_path, range(100)), test=listed(own, tmp_path, part))
        )


def test_taken_videos_are_not_drawn():
    labels, videos = torch.tensor([0, 1, 0, 1, 0, 1, 0, 0]), torch.tensor([5, 6, 7, 8, 5, 9, 4, 3])
    taken = torch.tensor([[[5, 7], [6, 6]]]).expand(40, -1, -1)
    found = draw(labels, torch.tensor([[0, 1]]).expand(40, -1), 2, torch.Generator().manual_seed(0), videos, taken)
    assert all(sorted(rows) == [6, 7] for rows in found[:, 0].tolist())
    assert all(sorted(rows) == [3, 5] for rows in found[:, 1].tolist())


def test_classifiers_trained_on_queries_cause_one_warning(known, videos, tmp_path, caplog):
    gallery, some = listed(videos, tmp_path, range(NUM)), listed(videos, tmp_path, range(6))
    evaluation = known(train=gallery, test=some)
    for task in (LINEAR, LINEAR, FewLabels(LINEAR, shares=(0.5,), draws=1)):
        task.run(evaluation)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "6 of the 6 videos of test are also in train, on which linear classifiers are trained: their accuracy on "
        "these measures memorization"
    ]
    caplog.clear()
    LINEAR.run(known(train=listed(videos, tmp_path, range(8)), test=listed(videos, tmp_path, range(8, NUM))))
    assert not caplog.records


def test_a_split_that_the_data_lacks_does_not_change_the_names_of_the_others(known):
    evaluation = known(test=(torch.eye(3), torch.arange(3)))
    assert evaluation.key("knn/top1", "test") == "knn/top1"
    evaluation.num_asked = 2
    assert evaluation.key("knn/top1", "test") == "knn/top1/test"
