from itertools import pairwise

import numpy as np
import pytest
import torch

from tbe.evaluation.features import Features
from tbe.evaluation.tasks.few_labels import FewLabels, labeled
from tbe.evaluation.tasks.linear import LinearProbe


def videos(num, seed, num_classes=4):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num,), generator=generator)
    return torch.nn.functional.one_hot(labels, 8) + 0.6 * torch.randn(num, 8, generator=generator), labels


def test_every_class_keeps_as_many_labels_and_a_larger_share_holds_a_smaller_one():
    labels = np.random.default_rng(0).choice(5, 400, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    subsets = [set(labeled(labels, share, seed=3).tolist()) for share in (0.001, 0.01, 0.1, 1.0)]
    for smaller, larger in pairwise(subsets):
        assert smaller <= larger
    assert np.bincount(labels[list(subsets[0])]).tolist() == [1] * 5
    total = np.bincount(labels)
    for share, subset in zip((0.001, 0.01, 0.1, 1.0), subsets, strict=True):
        each = max(1, round(share * 400 / 5))
        assert np.bincount(labels[list(subset)]).tolist() == np.minimum(total, each).tolist()


def test_draws_differ_and_repeat():
    labels = np.arange(100) % 5
    assert labeled(labels, 0.1, seed=(0, 1)).tolist() == labeled(labels, 0.1, seed=(0, 1)).tolist()
    assert set(labeled(labels, 0.1, seed=(0, 1))) != set(labeled(labels, 0.1, seed=(0, 2)))


def test_the_numbers_are_those_of_probes_trained_on_each_draw(known):
    gallery, queries = videos(200, 0), videos(60, 1)
    probe = LinearProbe(strengths=(0.1, 1.0))
    metrics = FewLabels(probe, shares=(0.02, 0.1), draws=3, seed=7).run(known(train=gallery, test=queries))
    for share in (0.02, 0.1):
        scores = []
        for draw in range(3):
            chosen = labeled(gallery[1].numpy(), share, (7, draw))
            trained, _ = probe.fit(Features(gallery[0][chosen], gallery[1][chosen]))
            right = trained.predict(queries[0].numpy()) == queries[1].numpy()
            scores.append(100 * right.mean())
        name = f"semi/{100 * share:g}%"
        assert metrics[f"{name}_top1"] == pytest.approx(np.mean(scores))
        assert metrics[f"{name}_top1_deviation"] == pytest.approx(np.std(scores, ddof=1))
        assert metrics[f"{name}_labels"] == len(chosen)
    assert metrics["semi/10%_top1"] > metrics["semi/2%_top1"] > 25


def test_one_class_is_refused(known):
    one = torch.rand(9, 8), torch.zeros(9, dtype=torch.long)
    with pytest.raises(ValueError, match="expected videos of at least two classes to train on, got 1 of label 0"):
        FewLabels(LinearProbe()).run(known(train=one, test=one))


@pytest.mark.parametrize("settings", [{"shares": ()}, {"shares": (0.0,)}, {"shares": (1.5,)}, {"draws": 0}])
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="semi: expected shares above 0"):
        FewLabels(LinearProbe(), **settings)
