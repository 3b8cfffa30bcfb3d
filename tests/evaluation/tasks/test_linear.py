import pytest
import torch

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
