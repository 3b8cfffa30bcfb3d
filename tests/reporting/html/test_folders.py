import pytest

from tbe.reporting.html.folders import find_runs
from tests.reporting.html.conftest import write_run


def test_runs_are_found_below_folders_each_once(runs):
    found = find_runs([runs, runs / "one"])
    assert [run.label for run in found] == ["demo (one)", "eval", "demo (two)"]
    assert [run.kind for run in found] == ["training", "evaluation", "training"]


def test_a_file_belongs_to_the_run_nearest_above_it(runs):
    training, evaluation, _ = find_runs([runs])
    assert training.files == []
    assert {file.suffix for file in evaluation.files} == {".csv", ".md", ".png", ".gif", ".mp4", ".html"}


def test_checkpoints_and_hidden_folders_are_not_looked_into(runs):
    for name in ("checkpoints", ".hydra", "wandb"):
        write_run(runs / "one" / name)
    assert len(find_runs([runs])) == 3


def test_a_label_takes_as_much_of_the_folder_as_it_needs(tmp_path):
    for group in ("first", "second"):
        write_run(tmp_path / group / "run")
    assert [run.label for run in find_runs([tmp_path])] == ["demo (first/run)", "demo (second/run)"]


def test_a_folder_without_a_run_is_an_error(tmp_path):
    (tmp_path / "config.yaml").write_text("theirs: 1\n")
    with pytest.raises(ValueError, match="expected the folder of a run of train.py or eval.py"):
        find_runs([tmp_path])
    with pytest.raises(ValueError, match="got nothing"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(ValueError, match="got a file"):
        find_runs([tmp_path / "config.yaml"])


def test_a_broken_file_is_named(runs):
    (runs / "two" / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match=r"two/metrics\.json: expected JSON, got"):
        find_runs([runs])
