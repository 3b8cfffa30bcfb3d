import base64
import csv
import importlib.util
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from tbe.evaluation.tasks.tsne import Tsne, task
from tbe.evaluation.tasks.tsne.drawing import draw_points
from tbe.evaluation.tasks.tsne.embedding import embed
from tbe.evaluation.tasks.tsne.page import write_page
from tbe.evaluation.tasks.tsne.points import Points, read_points, write_points


def clusters(num_videos=60, num_features=70, num_clusters=3):
    rng = np.random.default_rng(0)
    labels = np.arange(num_videos) % num_clusters
    centers = 3 * rng.normal(size=(num_clusters, num_features))
    return (centers[labels] + rng.normal(size=(num_videos, num_features))).astype(np.float32), labels


def data_of(page):
    return json.loads(re.search(r"const data = (.*);\n", page.read_text(encoding="utf-8")).group(1))


def test_alike_videos_lie_beside_each_other_wherever_they_point():
    vectors, labels = clusters()
    points = embed(vectors * np.linspace(0.1, 10, len(vectors))[:, None], "tsne", 30, seed=0)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_an_embedding_repeats():
    first, second = (embed(clusters()[0], "tsne", 30, seed=3) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_perplexity_is_that_which_is_asked_for(known, monkeypatch):
    monkeypatch.setattr(task, "draw_points", lambda points, file: None)
    vectors, labels = (torch.from_numpy(part) for part in clusters(40))
    evaluation = known(test=(vectors, labels))
    found = []
    for perplexity in (4, 12):
        Tsne(perplexity=perplexity, thumbnail=0, seed=3).run(evaluation)
        found.append(read_points(evaluation.folder / "tsne" / "net" / "test.csv").xy)
        expected = embed(vectors.numpy(), "tsne", perplexity, seed=3)
        assert np.allclose(found[-1], expected, rtol=1e-3, atol=1e-3)
    assert not np.allclose(*found, atol=1)


@pytest.mark.parametrize(("num_videos", "num_features"), [(4, 8), (5, 1), (12, 2)])
def test_few_videos_or_features_are_enough(num_videos, num_features):
    vectors = np.random.default_rng(0).normal(size=(num_videos, num_features))
    assert np.isfinite(embed(vectors, "tsne", 30, seed=0)).all()


def test_three_videos_are_too_few():
    with pytest.raises(ValueError, match="expected at least 4 videos, got 3"):
        embed(np.eye(3), "tsne", 30, seed=0)


def test_a_missing_package_is_named_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install umap-learn"):
        Tsne(method="umap")
    with pytest.raises(ValueError, match="one of tsne, umap, got 'pca'"):
        Tsne(method="pca")


def test_points_are_read_back(tmp_path):
    points = Points(
        np.array([[1.5, -2], [0, 1e-9]]), ["a, b.avi", "ü.avi"], {"class": ["x", '"y"'], "scene": ["0", "1"]}
    )
    write_points(tmp_path / "points.csv", points)
    found = read_points(tmp_path / "points.csv")
    assert np.array_equal(found.xy, points.xy)
    assert found[1:] == points[1:]


def test_a_page_needs_nothing_else(tmp_path):
    named = {"class": ["b", "a"], "</script>": ["<!--<script>", "</SCRIPT\n>"]}
    write_page(tmp_path / "page.html", "</script><b>", Points(np.eye(2), ["</script>", "c"], named), [])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"<!--|</?script", page, re.IGNORECASE) == ["<script", "</script"]  # its own
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:|url\(|@import""", page)
    data = data_of(tmp_path / "page.html")
    assert data["paths"] == ["</script>", "c"]
    assert data["kinds"][0] == {"kind": "class", "names": ["a", "b"], "of": [1, 0]}
    assert data["kinds"][1] == {"kind": "</script>", "names": ["<!--<script>", "</SCRIPT\n>"], "of": [0, 1]}


@pytest.mark.parametrize("num_classes", [1, 2, 101])
def test_any_number_of_classes_is_drawn(num_classes, tmp_path):
    rng = np.random.default_rng(0)
    names = [f"_$x^ {number} $" for number in rng.integers(num_classes, size=150)]
    points = Points(rng.normal(size=(150, 2)), [""] * 150, {"class": names})
    draw_points({"one": points, "two": points}, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        assert picture.width > picture.height > 500


def test_a_network_is_shown_by_action_and_by_scene(trained, evaluate):
    run = evaluate("task=tsne", "checkpoint=[random,latest]", "query=swap", "tasks.tsne.max_videos=12")
    assert json.loads((run / "metrics.json").read_text())["demo"] == {"tsne/videos": 12}
    for name in ("random init/swap.png", "demo/swap.png", "swap.png"):
        assert (run / "tsne" / name).stat().st_size > 5_000
    with (run / "tsne" / "demo" / "swap.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["path"] for row in rows[::11]] == ["swap/00000.mp4", "swap/00015.mp4"]
    assert {row["action"] for row in rows} == {"sideways", "up_down", "orbit", "spin"}
    assert all(re.fullmatch(r"\d_\w+", row["scene"]) for row in rows)
    data = data_of(run / "tsne" / "demo" / "swap.html")
    assert [kind["kind"] for kind in data["kinds"]] == ["action", "scene"]
    assert len(data["points"]) == len(data["pictures"]) == 12
    encoded = base64.b64decode(data["pictures"][0].removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(encoded)) as picture:
        assert picture.size == (32, 32)


def test_data_without_scenes_is_shown_by_class(trained, evaluate, video_folder):
    data = ["data=ucf101", f"data.root={video_folder}", "data.num_classes=2", "data.val_share=0"]
    lists = ["data.splits.train=train.txt", "data.splits.test=test.txt", "tasks.tsne.thumbnail=0"]
    run = evaluate("task=tsne", *data, *lists)
    points = read_points(run / "tsne" / "demo" / "test.csv")
    assert points.named == {"class": ["class 0", "class 1"] * 2}
    assert data_of(run / "tsne" / "demo" / "test.html")["pictures"] == []
