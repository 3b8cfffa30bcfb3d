import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from tbe.backbones.classifier import Classifier
from tbe.evaluation.metrics import knn_accuracy
from tbe.evaluation.neighbors import Exclusion
from tbe.evaluation.tasks.confusion import Confusion, task
from tbe.evaluation.tasks.confusion.drawing import draw_matrix
from tbe.evaluation.tasks.confusion.pairs import confused_pairs, write_markdown
from tbe.evaluation.tasks.confusion.task import count_confusions, shares


class Backbone(torch.nn.Module):
    num_features = 8


def drawn(num_videos, num_classes=4):
    generator = torch.Generator().manual_seed(num_videos)
    labels = torch.randint(num_classes, (num_videos,), generator=generator)
    return torch.randn(num_videos, 8, generator=generator) + torch.eye(8)[labels], labels


def rows_of(file):
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def test_counts_are_those_of_sklearn():
    labels, predicted = torch.randint(5, (2, 200), generator=torch.Generator().manual_seed(0))
    counts = count_confusions(labels, predicted, 6)
    assert np.array_equal(counts, confusion_matrix(labels, predicted, labels=range(6)))
    normalized = confusion_matrix(labels, predicted, labels=range(5), normalize="true")
    assert np.allclose(shares(counts)[:5, :5], normalized)
    assert np.isnan(shares(counts)[5]).all()


def test_videos_without_a_class_are_refused():
    with pytest.raises(ValueError, match="expected a class for each video, got 2 without one"):
        count_confusions(torch.tensor([0, -1, -1]), torch.tensor([0, 0, 1]), 2)


def test_pairs_come_by_their_share_of_the_class():
    counts = np.array([[5, 5, 0], [1, 0, 1], [0, 9, 91]])
    pairs = confused_pairs(counts, ["a", "b", "c"])
    assert [(pair.true, pair.predicted, pair.videos, pair.percent) for pair in pairs] == [
        ("a", "b", 5, 50),
        ("b", "a", 1, 50),
        ("b", "c", 1, 50),
        ("c", "b", 9, 9),
    ]


def test_class_names_do_not_break_the_table(tmp_path):
    write_markdown(tmp_path / "pairs.md", confused_pairs(np.array([[0, 1], [0, 0]]), ["a|b", "c"]))
    assert (tmp_path / "pairs.md").read_text().splitlines()[2] == r"| a\|b | c | 1 | 100.0 |"


def test_neighbors_are_those_of_the_knn_task(known):
    gallery, queries = drawn(60), drawn(40)
    evaluation = known(train=gallery, test=queries, num_classes=5)
    metrics = Confusion().run(evaluation)
    assert metrics["confusion/top1"] == pytest.approx(knn_accuracy(*queries, *gallery))
    found = rows_of(evaluation.folder / "confusion" / "net" / "test_pairs.csv")
    wrong = sum(int(row["videos"]) for row in found)
    assert 100 * (40 - wrong) / 40 == pytest.approx(metrics["confusion/top1"])


def test_the_temperature_weighs_the_votes_of_neighbors(known, monkeypatch):
    monkeypatch.setattr(task, "draw_matrix", lambda *_: None)
    gallery, queries = drawn(60), drawn(41)
    found = []
    for temperature in (0.01, 10.0):
        confusion = Confusion(temperature=temperature)
        found.append(confusion.run(known(train=gallery, test=queries, num_classes=5))["confusion/top1"])
        assert found[-1] == pytest.approx(knn_accuracy(*queries, *gallery, temperature=temperature))
    assert found[0] != found[1]


def test_the_table_has_the_first_pairs_and_the_file_all(known, monkeypatch):
    monkeypatch.setattr(task, "draw_matrix", lambda *_: None)
    evaluation = known(train=drawn(60), test=drawn(40), num_classes=5)
    Confusion(k=1, pairs=2).run(evaluation)
    folder = evaluation.folder / "confusion" / "net"
    lines = (folder / "test_pairs.md").read_text().splitlines()[2:]
    pairs = rows_of(folder / "test_pairs.csv")
    assert len(lines) == 2 < len(pairs)
    for line, pair in zip(lines, pairs, strict=False):
        assert line.startswith(f"| {pair['true']} | {pair['predicted']} | {pair['videos']} |")


def test_no_video_is_its_own_neighbor(known):
    videos = drawn(40)
    found = Confusion(k=1).run(known(train=videos, test=videos))["confusion/top1"]
    excluded = Exclusion.of(torch.arange(40), torch.arange(40))
    assert found == pytest.approx(knn_accuracy(*videos, *videos, k=1, excluded=excluded))
    assert found < 100


def test_the_mean_of_the_classes_counts_each_class_once(known, monkeypatch):
    labels = torch.tensor([0] * 30 + [1] * 3)
    predicted = torch.tensor([0] * 30 + [1, 0, 0])
    monkeypatch.setattr(Confusion, "_by_knn", lambda *_: (predicted, labels))
    metrics = Confusion().run(known(test=(torch.rand(33, 8), labels)))
    assert metrics["confusion/mean_class_top1"] == pytest.approx(100 * balanced_accuracy_score(labels, predicted))


def test_a_choice_that_is_not_there_is_refused(known):
    with pytest.raises(ValueError, match="one of head, knn, got 'linear'"):
        Confusion(by="linear")
    evaluation = known(test=drawn(8), num_classes=4)
    with pytest.raises(ValueError, match="expected a checkpoint with a trained head .*'net'.*tasks.confusion.by=knn"):
        Confusion(by="head").run(evaluation)
    evaluation.classifier = Classifier(Backbone(), num_classes=8)
    with pytest.raises(ValueError, match="the 8 classes that the head of 'net' knows, got 4"):
        Confusion(by="head").run(evaluation)


@pytest.mark.parametrize("num_classes", [2, 101])
def test_labels_do_not_overlap(num_classes, tmp_path):
    """A label has about the height of its letters to itself: 7 points at 150 dpi."""
    draw_matrix(np.eye(num_classes), [f"$x^ {n} $" for n in range(num_classes)], "$^$", tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.height > num_classes * 7 * 150 / 72
        assert picture.height < 3000


def test_a_trained_head_is_shown_as_it_is_tested(finetuned, evaluate):
    run = evaluate("task=[test,confusion]", f"checkpoint={finetuned}")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["confusion/top1"] == pytest.approx(metrics["test/top1"])
    assert metrics["confusion/mean_class_top1"] == pytest.approx(metrics["test/mean_class_top1"])
    folder = run / "confusion" / "demo_finetune"
    assert {file.name for file in folder.iterdir()} == {"test.png", "test_pairs.csv", "test_pairs.md"}
    assert {row["true"] for row in rows_of(folder / "test_pairs.csv")} <= {"sideways", "up_down", "orbit", "spin"}
    by_knn = evaluate("task=[knn,confusion]", "tasks.confusion.by=knn", f"checkpoint={finetuned}", folder="knn")
    metrics = json.loads((by_knn / "metrics.json").read_text())
    assert metrics["confusion/top1"] == pytest.approx(metrics["knn/top1"])
