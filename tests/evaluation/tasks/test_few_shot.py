import numpy as np
import pytest
import torch
from torch import Generator

from tbe.evaluation.tasks.few_shot import FewShot, draw


def videos(counts, seed):
    """Features around a center of each class, of so many videos of each, in a mixed order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centers = torch.randn(len(counts), 8, generator=torch.Generator().manual_seed(99))
    return centers[labels] + torch.randn(len(labels), 8, generator=generator), labels


def by_hand(task, gallery, queries, chosen, learnt, asked):
    """The accuracy of each episode, a video at a time."""
    accuracies = []
    for classes, support, queried in zip(chosen, learnt, asked, strict=True):
        right = 0
        for way in range(len(classes)):
            for video in queried[way]:
                cosines = []
                for others in support:
                    units = [gallery[0][other] / gallery[0][other].norm() for other in others]
                    cosines.append(torch.cosine_similarity(queries[0][video], sum(units), dim=0).item())
                right += int(np.argmax(cosines)) == way
        accuracies.append(100 * right / (len(classes) * task.queries))
    return np.array(accuracies)


def test_accuracy_and_interval_equal_a_loop(known):
    gallery, queries = videos([6] * 6, 0), videos([5] * 6, 1)
    task = FewShot(ways=3, shots=(2,), queries=4, episodes=70, seed=5)
    metrics = task.run(known(train=gallery, test=queries))

    generator = Generator().manual_seed(5)
    chosen = torch.rand(70, 6, generator=generator).argsort(dim=1)[:, :3]
    learnt, asked = draw(gallery[1], chosen, 2, generator), draw(queries[1], chosen, 4, generator)
    accuracies = by_hand(task, gallery, queries, chosen, learnt, asked)
    mean = sum(accuracies) / 70
    spread = (sum((accuracies - mean) ** 2) / 69) ** 0.5
    assert metrics["few_shot/3way_2shot"] == pytest.approx(mean, abs=1e-4)
    assert metrics["few_shot/3way_2shot_interval"] == pytest.approx(1.96 * spread / 70**0.5, abs=1e-4)
    assert 40 < mean < 100


def test_videos_are_drawn_evenly_from_their_class_and_never_twice():
    labels = torch.tensor([3, 0, 0, 3, 5, 0, 3, 5, 0, 3])
    classes = torch.tensor([[0, 3], [3, 5]]).repeat(2000, 1)
    found = draw(labels, classes, 2, Generator().manual_seed(0))
    assert torch.equal(labels[found], classes.unsqueeze(-1).expand(-1, -1, 2))
    assert (found[..., 0] != found[..., 1]).all()
    counts = torch.bincount(found[:, classes[0] == 0].flatten(), minlength=10).double()
    assert counts[[1, 2, 5, 8]].min() > 0.9 * counts[[1, 2, 5, 8]].mean()


def test_support_videos_are_not_queries(known):
    # Every video has a direction of its own: only a video that was learnt from itself could be told.
    labels = torch.arange(5).repeat_interleave(20)
    same = (torch.eye(100), labels)
    task = FewShot(shots=(5,), episodes=50)
    metrics = task.run(known(test=same, gallery="test"))
    assert metrics["few_shot/5way_5shot"] == pytest.approx(20, abs=0.01)  # all cosines are 0: the first class wins
    copied = task.run(known(train=same, test=(torch.eye(100), labels)))
    assert copied["few_shot/5way_5shot"] > 30


def test_episodes_repeat_by_their_seed(known):
    evaluation = known(train=videos([9] * 6, 0), test=videos([9] * 6, 1))
    runs = [FewShot(queries=5, episodes=20, seed=seed).run(evaluation) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {f"few_shot/5way_{shots}shot{end}" for shots in (1, 5) for end in ("", "_interval")}


def test_classes_with_too_few_videos_are_left_out(known):
    evaluation = known(train=videos([9, 9, 9, 0, 9], 0), test=videos([6, 6, 6, 6, 5], 1))
    metrics = FewShot(ways=3, shots=(5,), queries=6, episodes=20).run(evaluation)
    assert metrics["few_shot/3way_5shot"] > 0
    with pytest.raises(
        ValueError,
        match=r"expected 4 classes of at least 5 videos in train and 6 others in test, got 3.*few_shot.ways=3 ",
    ):
        FewShot(ways=4, shots=(5,), queries=6).run(evaluation)
    with pytest.raises(ValueError, match="got 0. Set a smaller tasks.few_shot.queries"):
        FewShot().run(evaluation)


def test_an_optional_task_without_enough_videos_is_skipped_with_a_warning(known, caplog):
    evaluation = known(train=videos([9] * 6, 0), test=videos([3] * 6, 1))
    assert FewShot(required=False).run(evaluation) == {}
    assert "got 0" in caplog.text
    assert "Left out" in caplog.text


@pytest.mark.parametrize("settings", [{"ways": 1}, {"shots": ()}, {"shots": (0,)}, {"queries": 0}, {"episodes": 1}])
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="few_shot: expected"):
        FewShot(**settings)
