import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from tbe.backbones.classifier import Classifier
from tbe.data.sources.records import make_records
from tbe.evaluation.intervals import bootstrap_interval
from tbe.evaluation.tasks.accuracy import Accuracy, write_tables


class Backbone(torch.nn.Module):
    num_features = 8


def views(num_videos=60, num_views=6, num_classes=8):
    rng = np.random.default_rng(0)
    labels = rng.integers(num_classes - 1, size=num_videos)  # nobody shows the last class
    logits = rng.normal(size=(num_videos, num_views, num_classes)) + 2 * np.eye(num_classes)[labels][:, None]
    return torch.tensor(logits).softmax(dim=-1).numpy(), labels


def rows_of(file):
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_video_is_classified_by_all_its_views_and_a_view_by_itself():
    probabilities, labels = views()
    metrics = Accuracy().measure(probabilities, labels)
    videos = np.array([sum(of_video) / len(of_video) for of_video in probabilities])
    clips = np.concatenate(list(probabilities))
    clip_labels = [label for label in labels for _ in range(6)]
    for k in (1, 5):
        theirs = 100 * top_k_accuracy_score(labels, videos, k=k, labels=range(8))
        assert metrics[f"top{k}"] == pytest.approx(theirs)
        assert metrics[f"clip_top{k}"] == pytest.approx(
            100 * top_k_accuracy_score(clip_labels, clips, k=k, labels=range(8))
        )
    assert metrics["mean_class_top1"] == pytest.approx(100 * balanced_accuracy_score(labels, videos.argmax(axis=1)))
    assert 0 < metrics["top1_low"] < metrics["top1"] < metrics["top1_high"] <= 100


def test_the_interval_repeats_by_its_seed_and_is_that_of_so_many_draws():
    probabilities, labels = views(num_videos=500, num_views=1)
    correct = probabilities.mean(axis=1).argmax(axis=1) == labels
    settings = [(200, 0), (200, 0), (200, 1), (300, 0)]
    found = [Accuracy(draws, seed).measure(probabilities, labels) for draws, seed in settings]
    intervals = [(metrics["top1_low"] / 100, metrics["top1_high"] / 100) for metrics in found]
    assert intervals[0] == intervals[1]
    assert len(set(intervals)) == 3
    for interval, (draws, seed) in zip(intervals, settings, strict=True):
        assert interval == pytest.approx(bootstrap_interval(correct, draws, seed))


def test_the_tables_say_what_is_right_of_each_class_and_each_video(tmp_path):
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]])
    labels = np.array([0, 1, 0])
    paths = ["a, b.mp4", "c.mp4", b"\xff.mp4".decode(errors="surrogateescape")]
    records = make_records("/videos", paths, labels, [0, 0, 0])
    write_tables(tmp_path / "test", probabilities, labels, records, ["run", "jump, high", "sit"])
    classes = rows_of(tmp_path / "test" / "per_class.csv")
    assert [list(row.values()) for row in classes] == [
        ["0", "run", "2", "1", "50.00"],
        ["1", "jump, high", "1", "1", "100.00"],
        ["2", "sit", "0", "0", ""],
    ]
    assert list(classes[0]) == ["class", "name", "videos", "correct", "accuracy"]
    videos = rows_of(tmp_path / "test" / "predictions.csv")
    assert videos[0] == {"path": "a, b.mp4", "label": "0", "prediction": "0", "probability": "0.5000"}
    assert [(row["path"], row["prediction"]) for row in videos[1:]] == [("c.mp4", "1"), (paths[2], "1")]


@pytest.mark.parametrize("num_classes", [5, 101])
def test_a_data_set_of_other_classes_than_the_heads_is_refused(known, num_classes):
    evaluation = known(test=(torch.rand(4, 8), torch.arange(4)), num_classes=num_classes)
    evaluation.classifier = Classifier(Backbone(), num_classes=8)
    with pytest.raises(
        ValueError, match=rf"data set of the 8 classes that the head of 'net' knows, got {num_classes} \(data=known\)"
    ):
        Accuracy().run(evaluation)
