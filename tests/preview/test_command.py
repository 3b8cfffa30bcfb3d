import json
import math
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image
from torch.testing import assert_close

import tbe.preview.command
from tbe.config import build
from tbe.data.sources.records import UNLABELED, make_records
from tbe.methods.moco import MoCo
from tbe.preview.command import draw_classes
from tbe.preview.first_batch import first_batch
from tests.conftest import SMALL, command_line, run_command


@pytest.fixture
def preview(tmp_path):
    """preview("be=strong", ...) runs the command in this process with a small data set."""

    def start(*overrides, folder="preview", small=SMALL):
        return run_command(tbe.preview.command, "preview", [*small, "trainer=cpu", *overrides], tmp_path / folder)

    return start


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_the_preview_shows_the_first_training_batch(train, monkeypatch):
    seen = []
    original = MoCo.forward

    def remembering(self, *views):
        seen.append([view.clone() for view in views])
        return original(self, *views)

    monkeypatch.setattr(MoCo, "forward", remembering)
    run = train("be=strong", "be.prob=0.7", "trainer.limit_train_batches=1")
    config = yaml.safe_load((run / "config.yaml").read_text())
    found = first_batch(build(config["datamodule"]), "cpu", build(config["be"]), ("query",))
    assert_close(found.distracted["query"], seen[0][0], rtol=0, atol=0)
    assert_close(found.batch["key"], seen[0][1], rtol=0, atol=0)
    assert_close(found.batch["negative"], seen[0][2], rtol=0, atol=0)


def test_views_and_classes_are_drawn(preview, capsys):
    run = preview("be=strong", "videos=3", "fps=5")
    with Image.open(run / "views.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (8, 200)
    assert {"views.mp4", "views.png", "classes.png", "config.yaml"} <= {file.name for file in run.iterdir()}
    assert metrics_of(run)["preview/videos"] == 3
    assert 0 < metrics_of(run)["preview/query_weight"] < 0.5
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"run: {run}"


@pytest.mark.parametrize(
    ("overrides", "columns", "weights"),
    [
        (["be=none"], ["query", "distracted query", "key", "negative"], {"query": 0.0}),
        (["be=merge", "module.distractor_views=key", "method.negative=none"], ["query", "key", "distracted key"], {}),
        (
            ["module.distractor_views=both", "method.negative=other_video"],
            ["query", "distracted query", "key", "distracted key", "negative of another video"],
            {"query": math.inf, "key": math.inf},
        ),
        (["method=rotation"], ["query", "distracted query"], {"query": math.inf}),
        (["stage=finetune"], ["clip"], {}),
    ],
)
def test_the_drawn_views_follow_the_config(overrides, columns, weights, preview, monkeypatch):
    drawn = {}
    monkeypatch.setattr(tbe.preview.command, "draw_views", lambda file, views, *rest: drawn.update(views))
    run = preview(*overrides)
    assert list(drawn) == columns
    found = {name: value for name, value in metrics_of(run).items() if name.endswith("weight")}
    assert found.keys() == {f"preview/{view}_weight" for view in weights}
    assert all(0 <= value <= weights[name.split("/")[1].split("_")[0]] for name, value in found.items())


def test_videos_without_a_class_are_counted_separately(tmp_path, monkeypatch):
    drawn = {}

    def draw_counts(counts, names, title, file):
        drawn.update(counts=counts, names=names)

    monkeypatch.setattr(tbe.preview.command, "draw_counts", draw_counts)
    records = {"train": make_records("", ["a/1", "b/1", "b/2"], [0, 1, 1], [0] * 3)}
    source = SimpleNamespace(
        name="known", num_classes=3, class_names=None, has=records.__contains__, records=records.__getitem__
    )
    draw_classes(source, tmp_path / "classes.png")
    assert drawn["names"] == ["a", "b", "class 2"]
    assert drawn["counts"]["train"].tolist() == [1, 2, 0]
    records["test"] = make_records("", ["x", "y"], [UNLABELED, 2], [0] * 2)
    draw_classes(source, tmp_path / "classes.png")
    assert drawn["names"][-1] == "without a class"
    assert [of_split.tolist() for of_split in drawn["counts"].values()] == [[1, 2, 0, 0], [0, 0, 1, 1]]


def test_the_command_as_a_user_types_it(tmp_path):
    small = [*SMALL, f"hydra.run.dir={tmp_path / 'run'}"]
    done = command_line("-m", "tbe.preview", "experiment=demo", "be=inter", *small)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == f"run: {tmp_path / 'run'}"
    assert (tmp_path / "run" / "views.png").exists()


def test_a_missing_data_set_is_reported(preview):
    with pytest.raises(FileNotFoundError, match="data=ucf101: expected the folder"):
        preview("experiment=ucf101_be", "data.root=null", small=[])
