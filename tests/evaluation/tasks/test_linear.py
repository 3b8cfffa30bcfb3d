import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tbe.data.sources.records import hold_out
from tbe.evaluation.features import Features
from tbe.evaluation.tasks.linear import LinearProbe


def test_the_strength_is_chosen_and_classes_never_seen_are_missed(known):
    labels = torch.arange(40) % 4
    gallery = torch.nn.functional.one_hot(labels, 8) + 0.1 * torch.rand(40, 8), labels
    queries = gallery[0][:8], torch.tensor([0, 1, 2, 3, 0, 1, 2, 6])  # the last is of a class that nobody showed
    metrics = LinearProbe().run(known(train=gallery, test=queries))
    assert metrics["linear/strength"] in LinearProbe().strengths
    assert metrics["linear/top1"] == pytest.approx(100 * 7 / 8)
    assert metrics["linear/top5"] == pytest.approx(100 * 7 / 8)


def best_of(strengths, held_out, vectors, labels):
    """The strength that is right most often on what is held out, and the share that it has right there."""
    held, right = hold_out(labels, held_out), {}
    for strength in strengths:
        scaler = StandardScaler().fit(vectors[~held])
        probe = LogisticRegression(C=strength, max_iter=500).fit(scaler.transform(vectors[~held]), labels[~held])
        right[strength] = (probe.predict(scaler.transform(vectors[held])) == labels[held]).sum()
    first, second = sorted(right, key=right.get)[:-3:-1]
    assert right[first] > right[second] + 1  # or rounding might decide
    return first


def test_the_strength_is_that_which_is_right_most_often_on_what_is_held_out():
    draws, labels = torch.Generator().manual_seed(1), torch.arange(160) % 4
    vectors = torch.nn.functional.one_hot(labels, 30) + torch.randn(160, 30, generator=draws)
    gallery = Features(vectors + 2 * torch.randn(160, 1, generator=draws), labels)  # what all channels share
    strengths, chosen = (1e-3, 0.1, 1.0, 100.0), []
    for held_out in (0.2, 0.5):
        probe, strength = LinearProbe(strengths, held_out).fit(gallery)
        assert strength == best_of(strengths, held_out, *(part.numpy() for part in gallery))
        assert strength == probe[-1].C
        chosen.append(strength)
    assert chosen == [0.1, 1.0]


@pytest.mark.parametrize("num_videos", [1, 5])
def test_a_gallery_of_one_class_is_refused(num_videos):
    gallery = Features(torch.rand(num_videos, 4), torch.full((num_videos,), 3))
    with pytest.raises(ValueError, match=f"at least two classes to train on, got {num_videos} of label 3"):
        LinearProbe().fit(gallery)


def test_one_video_of_each_class_is_enough():
    gallery = Features(torch.eye(4), torch.arange(4))
    probe, strength = LinearProbe().fit(gallery)
    assert strength == 0.001
    assert probe.score(gallery.vectors.numpy(), gallery.labels.numpy()) == 1


@pytest.mark.parametrize("settings", [{"strengths": ()}, {"strengths": (0.0,)}, {"held_out": 0.0}, {"held_out": 1.0}])
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match="linear: expected strengths above 0 and held_out between 0 and 1"):
        LinearProbe(**settings)
